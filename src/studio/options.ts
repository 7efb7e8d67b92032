/**
 * What a studio in a user's own server is given.
 *
 * @module
 */

import type { Coordinator } from "../cluster/coordinator.ts";
import { InvalidArgumentError } from "../errors.ts";
import type { Event } from "../event/types.ts";
import type { SealPlace } from "../evidence/place.ts";
import { checkFlag, checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import type { CheckpointStore } from "../projection/checkpoints.ts";
import type { Projection } from "../projection/projection.ts";
import type { View } from "../store/decider.ts";
import type { EventStore } from "../store/types.ts";
import { describe } from "../text.ts";
import { CoordinatorCluster } from "./cluster_source.ts";
import { foldOf } from "./fold.ts";
import type { StudioParts } from "./parts.ts";

/**
 * What a studio shows, and what it may do.
 *
 * @typeParam E The union of the store's events.
 *
 * @category Studio
 */
export interface StudioOptions<E extends Event = Event> {
  /** What the page names as the log. @default {the kind of the store} */
  readonly name?: string;
  /** The path that it is mounted at, such as `/admin/studio`. @default {"/"} */
  readonly path?: string;
  /**
   * Projections whose lag is shown. With `write` what they have parked can be retried, which calls their handlers in this
   * process.
   */
  readonly projections?: readonly Projection<E, unknown>[];
  /** Where other projections have their checkpoints; they are shown, and what they have parked can be discarded. */
  readonly checkpoints?: CheckpointStore<unknown>;
  /** Deciders by the name that the page shows: it folds the state of an actor with them. */
  // deno-lint-ignore no-explicit-any -- states of any kind
  readonly deciders?: Readonly<Record<string, View<any, any>>>;
  /** The coordinator of this process: its cluster is shown. */
  readonly coordinator?: Coordinator;
  /** The actor host of this process: how many actors it has in memory is shown. */
  readonly host?: { readonly active: number };
  /** Where the log's seal is. */
  readonly seal?: SealPlace;
  /** Whether parked events may be retried and discarded: who may use the page is checked by your server. @default {false} */
  readonly write?: boolean;
  /** Ends all streams of events, so that a server can shut down. */
  readonly signal?: AbortSignal;
}

const OPTIONS: OptionNames<StudioOptions> = {
  name: true,
  path: true,
  projections: true,
  checkpoints: true,
  deciders: true,
  coordinator: true,
  host: true,
  seal: true,
  write: true,
  signal: true,
};

/** The kinds of stores, by the names of their classes. */
const BACKENDS: Readonly<Record<string, string>> = {
  InMemoryEventStore: "memory",
  DenoKvEventStore: "Deno KV",
  JetStreamEventStore: "NATS JetStream",
};

/** The kind of a store, for people. */
export function backendOf(store: object): string {
  const { name } = store.constructor;
  return BACKENDS[name] ?? name;
}

/** Reads the options of a studio. */
export function readStudioOptions<E extends Event>(
  store: EventStore<E>,
  options: StudioOptions<E> | undefined,
): { readonly parts: StudioParts; readonly path: string } {
  if (typeof store?.readAll !== "function") {
    throw new InvalidArgumentError("store", `must be an event store, and is ${describe(store)}`);
  }
  return readOptions(options, ({ ...given }) => {
    checkKnown<StudioOptions>(given as StudioOptions, OPTIONS);
    const { projections = [], deciders = {}, coordinator, host, checkpoints, seal } = given;
    const log: EventStore = store;
    const backend = backendOf(store);
    const { name: target = backend } = given;
    if (typeof target !== "string") {
      throw new InvalidArgumentError("options.name", `must be a string, and is ${describe(target)}`);
    }
    const places = new Set([
      ...checkpoints ? [checkpoints] : [],
      ...projections.map((each) => each.checkpoints),
    ]);
    const folds = Object.entries(deciders).map(([name, view]) => {
      if (typeof view?.evolve === "function") return [name, foldOf(log, name, view)] as const;
      throw new InvalidArgumentError(
        `options.deciders.${name}`,
        `must be a decider, and is ${describe(view)}`,
      );
    });
    const parts: StudioParts = {
      ...{ target, backend, store: log, projections, seal },
      folds: new Map(folds),
      checkpoints: places.size === 0 ? undefined : () => Promise.resolve([...places]),
      cluster: coordinator && new CoordinatorCluster(coordinator, host),
      write: checkFlag("options.write", given.write),
      signal: checkSignal(given.signal) ?? new AbortController().signal,
    };
    return { parts, path: pathOf(given.path ?? "/") };
  });
}

/** A path without the slash at its end. */
function pathOf(path: unknown): string {
  if (typeof path === "string" && /^\/[^?#]*$/.test(path)) return path.replace(/\/+$/, "");
  throw new InvalidArgumentError(
    "options.path",
    `must be a path such as "/studio", and is ${describe(path)}`,
  );
}
