/**
 * Groups of commits: what goes together into one atomic operation, and that operation.
 *
 * @module
 */

import type { Head, Heads } from "./heads.ts";
import type { LogRecord } from "./log_record.ts";
import {
  MAX_ATOMIC_BYTES,
  MAX_ATOMIC_KEY_BYTES,
  MAX_MUTATIONS,
  MAX_VALUE_BYTES,
} from "../../deno_kv_limits.ts";
import type { Layout } from "./layout.ts";
import { LEAST_DEFLATED_BYTES, roomOf, type ValueFormat } from "./value_format.ts";
import { type EncodedPart, encodePart, guardKey, type Write } from "./write.ts";

/** The room for names in a record of the log: a value without its head and brackets. */
const LOG_RECORD_BYTES = MAX_VALUE_BYTES - 64;

/** A queue, divided. */
export interface DividedQueue {
  /** What goes into one atomic operation, in order. */
  readonly group: Write[];
  /** What waits, in order. */
  readonly rest: Write[];
}

/** How large a group may be. */
export interface GroupLimits {
  /** How many checks the database takes in one operation. */
  readonly maxChecks: number;
  /** How many checks a group has at most, unless what is added could not go in another one at the same time. */
  readonly usualChecks: number;
}

/**
 * Takes from a queue what fits one atomic operation, nothing that depends on what is under way or on an earlier one that
 * waits. What depends on an earlier write of the same group follows it there, and needs no check of its own: the check of
 * the earlier one holds for both.
 *
 * A takeOver and what depends on it go one after the other: the next part of the actor takes the place of its record.
 */
export function divideQueue(
  queue: readonly Write[],
  busy: ReadonlySet<string>,
  { commitKeyBytes, logKeyBytes }: Layout,
  { maxChecks, usualChecks }: GroupLimits,
): DividedQueue {
  const group: Write[] = [];
  const rest: Write[] = [];
  /** The actors that are written by what is under way or waits, and those that what waits depends on. */
  const written = new Set(busy);
  const dependedOn = new Set<string>();
  /** The actors that the group checks. */
  const checked = new Set<string>();
  const takenOver = new Set<string>();
  let bytes = commitKeyBytes * 2 + logKeyBytes;
  let keyBytes = commitKeyBytes;
  let namedBytes = 0;
  let sets = 1;
  for (const write of queue) {
    const { actorIds, checkedIds, isTakeOver } = write;
    const blocked = checkedIds.some((actorId) => written.has(actorId) || takenOver.has(actorId)) ||
      actorIds.some((actorId) => dependedOn.has(actorId));
    const known = checkedIds.filter((actorId) => checked.has(actorId)).length;
    const checks = 1 + checked.size + checkedIds.length - known; // one is that of the log
    const fits = checks <= maxChecks && (known > 0 || checks <= usualChecks) &&
      bytes + write.bytes <= MAX_ATOMIC_BYTES &&
      keyBytes + write.keyBytes <= MAX_ATOMIC_KEY_BYTES && sets + write.sets <= MAX_MUTATIONS &&
      namedBytes + write.namedBytes <= LOG_RECORD_BYTES;
    if ((fits || group.length === 0) && !blocked && !(isTakeOver && known > 0)) {
      group.push(write);
      for (const actorId of checkedIds) checked.add(actorId);
      if (isTakeOver) takenOver.add(actorIds[0]!);
      bytes += write.bytes;
      keyBytes += write.keyBytes;
      namedBytes += write.namedBytes;
      sets += write.sets;
      continue;
    }
    rest.push(write);
    for (const actorId of actorIds) written.add(actorId);
    for (const { actorId } of write.conditions) dependedOn.add(actorId);
  }
  return { group, rest };
}

/** How many keys the operation of a group checks. */
export function countChecks(group: readonly Write[]): number {
  return 1 + new Set(group.flatMap(({ checkedIds }) => checkedIds)).size;
}

/** What an operation is built with. */
export interface OperationSetup {
  /** The handle to write through. */
  readonly kv: Deno.Kv;
  /** The log that is written to. */
  readonly log: Pick<LogRecord, "check">;
  /** The keys. */
  readonly layout: Layout;
  /** Writes values. */
  readonly values: ValueFormat;
  /** The heads of actors. */
  readonly heads: Pick<Heads, "isRecent">;
}

/** The atomic operation of a group whose writes are numbered. */
export function buildOperation(
  group: readonly Write[],
  { kv, log, layout, values, heads }: OperationSetup,
): Deno.AtomicOperation {
  let operation = kv.atomic().check(log.check);
  const checked = new Set<string>();
  /** Checks what an actor's next part is guarded with; once, since a later write builds on an earlier one. */
  const check = (actorId: string, head: Head, key: Deno.KvKey): void => {
    if (checked.has(actorId)) return;
    checked.add(actorId);
    operation = operation.check({ key, versionstamp: head.guard });
  };
  let events = 0;
  let areRecent = true;
  const logged: EncodedPart[] = [];
  for (const write of group) {
    for (const { actorId, head } of write.conditions) check(actorId, head, guardKey(actorId, head, layout));
    for (const part of write.parts) {
      const { actorId, drafts } = part.part;
      part.offset = events;
      events += drafts.length;
      const key = guardKey(actorId, part.head, layout);
      const encoded = encodePart(write, part, values);
      check(actorId, part.head, key);
      operation = operation.set(key, encoded.value.value);
      for (const [index, chunk] of encoded.value.chunks.entries()) {
        operation = operation.set(layout.chunk(actorId, part.head.version + 1, index), chunk);
      }
      if (write.isTakeOver) continue;
      logged.push(encoded);
      areRecent &&= heads.isRecent(part.head);
    }
  }
  if (logged.length === 0) return operation;
  const most = areRecent ? events * RECENT_EVENT_BYTES : Infinity;
  return operation.set(layout.nextCommit(kv), encodeRecord(logged, most, values));
}

/** What a small event of an actor that was written to recently may take in the log, beyond its name. */
const RECENT_EVENT_BYTES = 240;

/**
 * The record of the log: the parts themselves, so that a read of the log needs nothing else; or their names, where the parts
 * are large, or where those of an actor are close to each other in the log and are quickly read from under its keys.
 *
 * @param most How many bytes the parts may take.
 */
function encodeRecord(
  parts: readonly EncodedPart[],
  most: number,
  values: ValueFormat,
): Uint8Array<ArrayBuffer> {
  const text = `[${parts.map(({ logged }) => logged).join(",")}]`;
  // What is small stays as it is: what it takes is known before.
  if (text.length > LEAST_DEFLATED_BYTES || text.length <= most) {
    const { value, chunks } = values.encode(text);
    if (chunks.length === 0 && roomOf(value.length) <= most) return value;
  }
  return values.encode(`[${parts.map(({ name }) => name).join(",")}]`).value;
}
