/**
 * Judges a read model of a projection with segments: whether each event was handled once, in the order of its actor.
 *
 * `deno run -A tests/projection/segments_check.ts FILE` prints what is wrong with the one in a database of Deno KV.
 *
 * @module
 */

import { DenoKvEventStore, type EventStore } from "../../mod.ts";
import type { Counted } from "./support.ts";

/** The positions of each actor's events, in order. */
export type Positions = ReadonlyMap<string, readonly string[]>;

/** What is wrong with a read model. */
export interface SegmentFaults {
  /** Events that were not handled. */
  readonly lost: readonly string[];
  /** Events that were handled more than once. */
  readonly repeated: readonly string[];
  /** Actors whose events were handled in another order. */
  readonly disordered: readonly string[];
}

/**
 * Compares what was handled with the log.
 *
 * @param log The positions of each actor's events, in order.
 * @param handled The positions as they were handled.
 */
export function judgeSegments(log: Positions, handled: Positions): SegmentFaults {
  const lost: string[] = [];
  const repeated: string[] = [];
  const disordered: string[] = [];
  for (const [actor, positions] of log) {
    const seen = handled.get(actor) ?? [];
    const times = new Map<string, number>();
    for (const position of seen) times.set(position, (times.get(position) ?? 0) + 1);
    lost.push(...positions.filter((position) => !times.has(position)));
    repeated.push(...[...times].filter(([, count]) => count > 1).map(([position]) => position));
    if (seen.some((position, index) => index > 0 && position < seen[index - 1]!)) disordered.push(actor);
  }
  return { lost, repeated, disordered };
}

/** The events of a log. */
export async function positionsIn(store: EventStore<Counted>): Promise<Positions> {
  const log = new Map<string, string[]>();
  for await (const { actorId, position } of store.readAll()) {
    log.set(actorId, [...log.get(actorId) ?? [], position]);
  }
  return log;
}

/** What workers have noted in Deno KV. */
export async function handledInKv(kv: Deno.Kv): Promise<Positions> {
  const entries = await Array.fromAsync(kv.list<string>({ prefix: ["handled"] }));
  const byActor = Map.groupBy(entries, ({ key }) => key[1] as string);
  return new Map(Array.from(byActor, ([actor, own]) => [actor, own.map(({ value }) => value)]));
}

if (import.meta.main) {
  const [file] = Deno.args;
  using kv = await Deno.openKv(file);
  await using store = await DenoKvEventStore.open<Counted>(kv);
  console.log(judgeSegments(await positionsIn(store), await handledInKv(kv)));
}
