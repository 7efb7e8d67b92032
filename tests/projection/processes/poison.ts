/**
 * Events that a projection cannot handle, each in its way, and what must have become of them in the end.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  BackendError,
  DenoKvEventStore,
  type Event,
  type EventDefinitions,
  type EventStore,
  JetStreamEventStore,
  type KvTransaction,
  listParked,
  type Projection,
  retryParked,
  type RunOptions,
  runProjection,
  type RunState,
  SchemaVersionError,
  StoreOpenError,
  waitFor,
} from "../../../mod.ts";
import type { Site } from "./jobs.ts";

/** The exit code of a process that an event or its owner has ended: another one is started. */
export const EXPECTED_END = 9;

/** What is set aside: the handler throws, an upcaster refuses it, the transaction refuses its write, or it ends its process. */
const PARKED = ["Throws", "Refused", "TooMuch", "Ends"] as const;
/** An event that only a newer program reads. */
const NEWER = "Newer";
const GOOD = "Good";

/** The programs that read it: one older than the newest event, one that is as new, and one without faults. */
type Program = "old" | "new" | "corrected";

function definitionsOf(program: Program | "writer"): EventDefinitions {
  const as = <T>(data: T): T => data;
  const refuse = (): never => {
    throw new Error("refused");
  };
  return {
    ...(program !== "old" && { Newer: { version: 2, upcast: [as] } }),
    ...(program !== "writer" && { Refused: { version: 2, upcast: [program === "corrected" ? as : refuse] } }),
  };
}

type Where = { readonly file: string; readonly servers?: readonly string[] };

async function open(
  { file, servers }: Where,
  program: Program | "writer",
): Promise<EventStore & AsyncDisposable> {
  const options = { namespace: "poison", events: definitionsOf(program) };
  return servers
    ? await JetStreamEventStore.open(servers, { ...options, ...CONNECTION, replicas: servers.length })
    : await DenoKvEventStore.open(file, { ...options, pollInterval: 5 });
}

/** Who connects to the servers. */
export const CREDENTIALS = { user: "worker", pass: "right" };
/** How everything here connects: faults are what it is here for, and are not reported. */
export const CONNECTION = { connect: CREDENTIALS, onWarning: (): void => {} };

/** Counts each event in one transaction with the checkpoint: exactly once. */
function poisoned(
  { withModel }: Pick<Site, "withModel">,
  isCorrected = false,
): Projection<Event, KvTransaction> {
  return {
    name: "poisoned",
    checkpoints: withModel,
    failure: { retries: 1, firstDelay: 5, then: "park", laterEvents: "go-on" },
    handle: async ({ id, eventType }, { transaction }) => {
      const key = ["poisoned", id];
      transaction.set(key, (await transaction.get<number>(key) ?? 0) + 1);
      if (isCorrected) return;
      if (eventType === "Throws") throw new Error("it throws");
      if (eventType === "TooMuch") transaction.set(["too much"], "x".repeat(70_000));
      if (eventType === "Ends") Deno.exit(EXPECTED_END);
    },
  };
}

/** Tries until the servers can be reached: one may just be down. */
export async function reached<T>(open: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await open();
    } catch (error) {
      const mayPass = error instanceof StoreOpenError || error instanceof BackendError;
      if (!mayPass) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** A run that is begun again as a newer program where an event is newer than the program. */
export class PoisonedRun {
  readonly finished: Promise<void>;
  #run: ReturnType<typeof runProjection> | undefined;
  #isClosed = false;

  /** Begins. */
  constructor(where: Where, site: Pick<Site, "withModel">, options: RunOptions) {
    this.finished = this.#work(where, site, options);
  }

  /** What it is doing. */
  get state(): RunState {
    return this.#run?.state ?? "waiting";
  }

  /** Ends it in order. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#run?.close();
  }

  async #work(where: Where, site: Pick<Site, "withModel">, options: RunOptions): Promise<void> {
    for (const program of ["old", "new"] as const) {
      await using store = await reached(() => open(where, program));
      if (this.#isClosed) return;
      this.#run = runProjection(store, poisoned(site), options);
      try {
        return await this.#run.finished;
      } catch (error) {
        if (program === "new" || !(error instanceof SchemaVersionError)) throw error;
      }
    }
  }
}

/** The log of events that cannot be handled, as this process writes and judges it. */
export class Poison implements AsyncDisposable {
  readonly #where: Where;
  readonly #site: Pick<Site, "withModel" | "model">;
  readonly #store: EventStore & AsyncDisposable;

  private constructor(
    where: Where,
    site: Pick<Site, "withModel" | "model">,
    store: EventStore & AsyncDisposable,
  ) {
    this.#where = where;
    this.#site = site;
    this.#store = store;
  }

  /** Opens it. */
  static async open(where: Where, site: Pick<Site, "withModel" | "model">): Promise<Poison> {
    return new Poison(where, site, await open(where, "writer"));
  }

  /** Writes an event of each kind, with good ones between them. */
  async write(shuffle: <T>(items: readonly T[]) => T[]): Promise<void> {
    for (const eventType of shuffle([...PARKED, NEWER])) {
      const events = [GOOD, eventType, GOOD].map((eventType) => ({ eventType, data: null }));
      await this.#store.append(eventType, events, { expectedVersion: "any" });
    }
  }

  /** Holds what was handled and what was set aside against the log, then tries the latter again with a corrected program. */
  async assertDone(options: { readonly timeout: number }): Promise<void> {
    const last = await this.#store.append("last", [{ eventType: GOOD, data: null }], {
      expectedVersion: "any",
    });
    await waitFor(
      this.#store,
      { name: "poisoned", checkpoints: this.#site.withModel },
      last[0]!.position,
      options,
    );
    const log = await Array.fromAsync(this.#store.readAll());
    const isPoison = ({ eventType }: Event): boolean => (PARKED as readonly string[]).includes(eventType);
    const corrected = poisoned(this.#site, true);
    const parked = await listParked(corrected);
    const ofPoison = log.filter(isPoison).map(({ id }) => id);
    assert.deepEqual(parked.map(({ eventId }) => eventId), ofPoison, "what is parked");
    const handled = log.filter((event) => !isPoison(event)).map(({ id }) => [id, 1] as const);
    assert.deepEqual(await this.#counts(), sorted(handled), "how often each was handled");
    await using store = await open(this.#where, "corrected");
    for (const { position } of parked) await retryParked(store, corrected, position);
    assert.deepEqual(await listParked(corrected), []);
    assert.deepEqual(
      await this.#counts(),
      sorted(log.map(({ id }) => [id, 1] as const)),
      "after the retries",
    );
  }

  async #counts(): Promise<(readonly [string, number])[]> {
    const entries = await Array.fromAsync(this.#site.model.list<number>({ prefix: ["poisoned"] }));
    return sorted(entries.map(({ key, value }) => [key[1] as string, value] as const));
  }

  /** Closes the log. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }
}

function sorted(counts: readonly (readonly [string, number])[]): (readonly [string, number])[] {
  return [...counts].sort(([a], [b]) => a < b ? -1 : 1);
}
