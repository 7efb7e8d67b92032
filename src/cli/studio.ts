/**
 * `studio`: serves a page about a log on this machine, until it is interrupted.
 *
 * @module
 */

import type { CheckpointStore } from "../projection/checkpoints.ts";
import type { EventStore } from "../store/types.ts";
import { ApiFailure } from "../studio/failure.ts";
import { backendOf } from "../studio/options.ts";
import type { AnyProjection, Fold, StudioParts } from "../studio/parts.ts";
import { serveStudio } from "../studio/serve.ts";
import type { RequestOf } from "./arguments.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import { foldIn } from "./fold.ts";
import { exportName, loadProjection } from "./module.ts";
import { isNats, openTarget } from "./open_target.ts";
import { remembered } from "./remembered.ts";
import { openPlace } from "./seal_place.ts";
import { shownTarget } from "./secrets.ts";
import { jsonLine, printable } from "./output.ts";
import type { Target } from "./target.ts";
import type { Terminal } from "./terminal.ts";

type StudioRequest = RequestOf<"studio">;

/** Runs `studio`, until the signal. */
export async function studio(
  target: Target,
  request: StudioRequest,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const store = await target.store();
  await using elsewhere = request.checkpoints === undefined
    ? undefined
    : await openTarget(request.checkpoints, request);
  const checkpoints = remembered(() => (elsewhere ?? target).checkpoints());
  await using seal = request.seal === undefined ? undefined : await openPlace(request.seal, request, false);
  const projections = await Promise.all(
    request.projections.map((text) => projectionOf(text, checkpoints)),
  );
  await using cluster = isNats(request.target)
    ? (await import("./nats_cluster.ts")).openNatsCluster(target, request)
    : undefined;
  const parts = {
    ...{ store, projections, cluster, target: shownTarget(request.target), backend: backendOf(store) },
    folds: await foldsOf(store, request.deciders),
    checkpoints: async () => {
      const own = projections.map((projection) => projection.checkpoints);
      const found = await checkpoints();
      return [...new Set(found ? [found, ...own] : own)];
    },
    seal: seal?.place,
    write: request.write,
  };
  await using served = serve(parts, request);
  if (request.json) terminal.print(jsonLine({ url: served.url }));
  else terminal.print(`The studio of ${printable(parts.target)} is at ${served.url}`);
  if (request.write) terminal.note(writeText(projections));
  await aborted(signal);
  return ExitCode.done;
}

/** Sentences about what a studio that writes may do. */
function writeText(projections: readonly AnyProjection[]): string {
  const names = projections.map(({ name }) => `"${printable(name)}"`).join(", ");
  return "The page can discard parked events" +
    (names === ""
      ? ". To retry them too, name their projections with --projection."
      : `, and retry those of ${names}.`);
}

function serve(
  parts: Omit<StudioParts, "signal">,
  { host, port }: StudioRequest,
): AsyncDisposable & { url: string } {
  try {
    return serveStudio(parts, { host, port });
  } catch (cause) {
    if (cause instanceof Deno.errors.AddrInUse) {
      throw new CommandFailure(
        `Port ${port} is taken, perhaps by another studio. Choose another with --port, or 0 for any that is free.`,
      );
    }
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CommandFailure(`It cannot listen on ${printable(host)} and port ${port}: ${printable(why)}`);
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** A projection with its checkpoints, or those of the target. */
async function projectionOf(
  text: string,
  checkpointsOf: () => Promise<CheckpointStore<unknown> | undefined>,
): Promise<AnyProjection> {
  const loaded = await loadProjection(text);
  const checkpoints = loaded.checkpoints ?? await checkpointsOf();
  if (checkpoints) return { ...loaded, checkpoints } as AnyProjection;
  throw new CommandFailure(
    `There are no checkpoints for ${printable(text)}: name the place with --checkpoints.`,
    ExitCode.found,
  );
}

/** How many processes fold at the same time. */
const MAX_PROCESSES = 2;

async function foldsOf(store: EventStore, deciders: readonly string[]): Promise<ReadonlyMap<string, Fold>> {
  const slots = new Slots(MAX_PROCESSES);
  const folds = new Map<string, Fold>();
  for (const decider of deciders) {
    await exportName(decider, "--decider");
    folds.set(decider, async (actorId, versions, signal) => {
      using _slot = await slots.take();
      signal.throwIfAborted();
      try {
        return await foldIn(store, actorId, decider, versions, signal);
      } catch (error) {
        if (error instanceof CommandFailure) throw new ApiFailure("decider-failed", error.message);
        throw error;
      }
    });
  }
  return folds;
}

/** A number of places, for which the others wait in order. */
class Slots {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(count: number) {
    this.#free = count;
  }

  async take(): Promise<Disposable> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return {
      [Symbol.dispose]: () => {
        const next = this.#waiting.shift();
        if (next) next();
        else this.#free++;
      },
    };
  }
}
