/**
 * Holds what readers were handed out against the log: one order for all of them, without a gap and without a duplicate.
 *
 * @module
 */
import type { Fault } from "./checker.ts";
import type { History, Reading } from "./history.ts";

/** @param places The place of each position in the log. */
export function checkReadings(
  history: History,
  places: ReadonlyMap<string, number>,
): [fault: Fault, what: unknown][] {
  const found: [Fault, unknown][] = [];
  const readings = history.readings.toSorted((a, b) => a.begun - b.begun);
  const acknowledged = acknowledgements(history, places);
  const followed = new Map<string, Reading>();
  for (const reading of readings) {
    const { process, how, after, begun, limit } = reading;
    const start = placeBehind(after, places);
    const end = checkOrder(history, reading, start, places, found);
    if (how === "read") {
      const isFresh = !history.stale.some(({ from, to }) => from <= begun && to >= begun);
      const least = Math.min(start + limit, acknowledged(begun));
      if (isFresh && end < least) found.push(["reader stopped short", { ...reading, events: end, least }]);
    } else {
      const name = process.replace(/\.\d+$/, "");
      const before = followed.get(name);
      if (before && start !== placeBehind(reached(before), places)) {
        const fault = start > placeBehind(reached(before), places)
          ? "reader has a gap"
          : "reader has a duplicate";
        found.push([fault, { process, after, before: reached(before) }]);
      }
      followed.set(name, reading);
    }
  }
  for (const [name, last] of followed) {
    if (placeBehind(reached(last), places) === history.log.length) continue;
    found.push(["reader stopped short", { name, reached: reached(last) }]);
  }
  return found;
}

/** Holds the events of one reading against the log. The answer is the place behind its last event. */
function checkOrder(
  { log }: History,
  { events, process, how, after }: Reading,
  start: number,
  places: ReadonlyMap<string, number>,
  found: [Fault, unknown][],
): number {
  const seen = new Set<string>();
  let expected = start;
  for (const [position, id] of events) {
    const place = places.get(position) ?? NaN;
    let fault: Fault | undefined;
    if (log[place]?.id !== id) fault = "reader has what is not stored";
    else if (place > expected) fault = "reader has a gap";
    else if (place < expected) {
      fault = seen.has(position) || place < start ? "reader has a duplicate" : "reader has another order";
    }
    if (fault) found.push([fault, { process, how, after, position, id, place, expected }]);
    seen.add(position);
    if (place >= expected) expected = place + 1;
  }
  return expected;
}

/** Where a reader has come to. */
function reached({ events, after }: Reading): string | undefined {
  return events.at(-1)?.[0] ?? after;
}

function placeBehind(position: string | undefined, places: ReadonlyMap<string, number>): number {
  return position === undefined ? 0 : (places.get(position) ?? NaN) + 1;
}

/** How long the log was at least at a time that rises from call to call: it held what was acknowledged before. */
function acknowledgements(
  { attempts }: History,
  places: ReadonlyMap<string, number>,
): (time: number) => number {
  const stored = attempts.flatMap(({ answer, ended }) =>
    answer?.kind === "stored" ? answer.events.map(({ position }) => ({ position, ended })) : []
  ).sort((a, b) => a.ended - b.ended);
  let next = 0;
  let length = 0;
  return (time) => {
    for (; next < stored.length && stored[next]!.ended < time; next++) {
      length = Math.max(length, placeBehind(stored[next]!.position, places) || 0);
    }
    return length;
  };
}
