/**
 * Groups of commits: what goes together into one atomic operation, and that operation.
 *
 * @module
 */

import type { Checksum } from "../checksum.ts";
import type { LogRecord } from "./log_record.ts";
import { MAX_ATOMIC_BYTES, MAX_ATOMIC_KEY_BYTES, MAX_VALUE_BYTES } from "../../deno_kv_limits.ts";
import type { Layout } from "./layout.ts";
import { encodeValue } from "./part_format.ts";
import { encodePart, guardKey, type Write } from "./write.ts";

/** The room for parts in a record of the log: a value without its head and brackets. */
const LOG_RECORD_BYTES = MAX_VALUE_BYTES - 64;

/** A queue, divided. */
export interface DividedQueue {
  /** What goes into one atomic operation, in order. */
  readonly group: Write[];
  /** What waits, in order. */
  readonly rest: Write[];
}

/**
 * Takes from a queue what fits one atomic operation, none of an actor that is busy or has an earlier one waiting. The
 * checks of one operation all see the state before it: what depends on an actor cannot go together with what writes it.
 *
 * @param maxChecks How many checks the operation may have.
 */
export function divideQueue(
  queue: readonly Write[],
  busy: ReadonlySet<string>,
  { commitKeyBytes, logKeyBytes }: Layout,
  maxChecks: number,
): DividedQueue {
  const group: Write[] = [];
  const rest: Write[] = [];
  const written = new Set(busy);
  const dependedOn = new Set<string>();
  let checks = 1; // that of the log
  let bytes = commitKeyBytes * 2 + logKeyBytes;
  let keyBytes = commitKeyBytes;
  let namedBytes = 0;
  for (const write of queue) {
    const actors = write.actorIds;
    const blocked = write.checkedIds.some((actorId) => written.has(actorId)) ||
      actors.some((actorId) => dependedOn.has(actorId));
    const fits = checks + write.checks <= maxChecks && bytes + write.bytes <= MAX_ATOMIC_BYTES &&
      keyBytes + write.keyBytes <= MAX_ATOMIC_KEY_BYTES &&
      namedBytes + write.namedBytes <= LOG_RECORD_BYTES;
    if ((fits || group.length === 0) && !blocked) {
      group.push(write);
      checks += write.checks;
      bytes += write.bytes;
      keyBytes += write.keyBytes;
      namedBytes += write.namedBytes;
    } else rest.push(write);
    for (const actorId of actors) written.add(actorId);
    for (const { actorId } of write.conditions) dependedOn.add(actorId);
  }
  return { group, rest };
}

/** What an operation is built with. */
export interface OperationSetup {
  /** The handle to write through. */
  readonly kv: Deno.Kv;
  /** The log that is written to. */
  readonly log: Pick<LogRecord, "check">;
  /** The keys. */
  readonly layout: Layout;
  /** Checks bytes. */
  readonly checksum: Checksum;
}

/** The atomic operation of a group whose writes are numbered. */
export function buildOperation(
  group: readonly Write[],
  { kv, log, layout, checksum }: OperationSetup,
): Deno.AtomicOperation {
  let operation = kv.atomic().check(log.check);
  let offset = 0;
  // Every part has its place in the log's record, at least by name; events fill what is left.
  let room = LOG_RECORD_BYTES - group.reduce((sum, { namedBytes }) => sum + namedBytes, 0);
  const logged: string[] = [];
  for (const write of group) {
    for (const { actorId, head } of write.conditions) {
      operation = operation.check({ key: guardKey(actorId, head, layout), versionstamp: head.guard });
    }
    for (const part of write.parts) {
      part.offset = offset;
      offset += part.part.drafts.length;
      const key = guardKey(part.part.actorId, part.head, layout);
      const encoded = encodePart(write, part, checksum, room);
      operation = operation.check({ key, versionstamp: part.head.guard }).set(key, encoded.value.value);
      for (const [index, chunk] of encoded.value.chunks.entries()) {
        operation = operation.set(layout.chunk(part.part.actorId, part.head.version + 1, index), chunk);
      }
      if (write.isTakeOver) continue;
      logged.push(encoded.logged);
      if (encoded.inLog) room -= encoded.value.value.length;
    }
  }
  if (logged.length === 0) return operation;
  return operation.set(layout.nextCommit(kv), encodeValue(`[${logged.join(",")}]`, checksum).value);
}
