/**
 * Reading the global log from Deno KV.
 *
 * @module
 */

import type { StoredEvent } from "../../event/types.ts";
import type { LogBatch } from "../backend.ts";
import { LogChains } from "../chain.ts";
import { DamagedHistoryError, type HistoryFault, InvalidPositionError } from "../errors.ts";
import type { LogPositions } from "../position.ts";
import type { LogStart } from "../types.ts";
import { VERSIONSTAMP_WIDTH } from "./record.ts";
import type { Records } from "./records.ts";
import { firstEntry, scan } from "./scan.ts";

/** What a read of the log needs. */
export interface LogReading {
  /** Where to begin. */
  readonly after: LogStart;
  /** Whether to stop at the log's present end, and not at the end that it has by then. */
  readonly bounded: boolean;
  /** Takes damage instead of throwing it. */
  readonly onDamage: ((fault: HistoryFault) => void) | undefined;
}

/** The greatest index of an event in its commit. */
const LAST_INDEX = 0xffff;

/** The log's events from a position on, in batches. */
export async function* readLog(
  records: Records,
  positions: LogPositions,
  { after, bounded, onDamage }: LogReading,
): AsyncIterable<LogBatch> {
  if (after === "end") return;
  const resumed = after !== "start" && after !== "first-kept" ? positions.bodyOf(after) : undefined;
  const begun = resumed?.slice(0, VERSIONSTAMP_WIDTH);
  let range = records.logRange;
  if (bounded || begun) {
    const last = await lastCommit(records);
    if (begun && (last === undefined || begun > last)) throw new InvalidPositionError(after, "ahead");
    if (last === undefined) return;
    if (bounded) range = { ...range, end: records.layout.commit(last + "\0") };
  }
  if (begun) range = { ...range, start: records.layout.commit(begun) };
  const chains = new LogChains(!begun);
  for await (const entries of scan(records.kv, range)) {
    let events: StoredEvent[] = [];
    for (const entry of entries) {
      const isBegun = entry.key.at(-1) === begun;
      for (const record of await records.readLogged(entry)) {
        const fault = record instanceof DamagedHistoryError ? record : chains.accept(record);
        if (fault && !(isBegun && fault.position !== undefined && fault.position <= after)) {
          if (events.length > 0) yield { events, position: events.at(-1)!.position };
          events = [];
          if (!onDamage) throw fault;
          onDamage(fault);
        }
        if (record instanceof DamagedHistoryError) continue;
        for (const event of record.events) if (!isBegun || event.position > after) events.push(event);
      }
    }
    const position = events.at(-1)?.position ??
      records.position(entries.at(-1)!.key.at(-1) as string, LAST_INDEX);
    yield { events, position };
  }
}

/** The versionstamp of the log's last record. */
async function lastCommit(records: Records): Promise<string | undefined> {
  const entry = await firstEntry(records.kv, records.logRange, true);
  return entry?.key.at(-1) as string | undefined;
}

/** The position of the log's last event. */
export async function lastPosition(records: Records): Promise<string | undefined> {
  const entry = await firstEntry(records.kv, records.logRange, true);
  if (!entry) return undefined;
  const last = (await records.readLogged(entry)).at(-1);
  if (last instanceof DamagedHistoryError) throw last;
  return last?.events.at(-1)?.position;
}
