/**
 * Numbering the writes of a group against the heads of their actors.
 *
 * @module
 */

import { backendError } from "../../deno_kv_failures.ts";
import { FencedError, LogReplacedError, VersionConflictError } from "../errors.ts";
import type { Head, Heads } from "./heads.ts";
import type { LogRecord } from "./log_record.ts";
import { failIfAborted, headBehind, type Write } from "./write.ts";

/** What writes are numbered with. */
interface NumberingSetup {
  /** The heads of actors. */
  readonly heads: Heads;
  /** The log that is written to. */
  readonly log: Pick<LogRecord, "assertSame">;
}

/** A group, numbered; what was refused has its answer. */
export interface NumberedGroup {
  /** What can be stored, in order, together. */
  readonly ready: readonly Write[];
  /** What does not fit those before it in the group: whether it is refused depends on what becomes of them. */
  readonly undecided: readonly Write[];
}

/**
 * Numbers the writes of a group, each against what those before it leave behind. A refusal counts only against a head
 * that was read just now.
 */
export async function numberGroup(
  group: readonly Write[],
  { heads, log }: NumberingSetup,
): Promise<NumberedGroup> {
  const cold = new Set<string>();
  for (const { checkedIds } of group) {
    for (const actorId of checkedIds) if (!heads.cached(actorId)) cold.add(actorId);
  }
  const fresh = new Set<string>();
  const failed = new Map<string, unknown>();
  const read = (actorIds: Iterable<string>): Promise<unknown> =>
    Promise.all(
      Array.from(actorIds, (actorId) =>
        heads.read(actorId).then(() => fresh.add(actorId), (error) => failed.set(actorId, error))),
    );
  if (cold.size > 0) await read(cold);
  /** The heads that the writes before leave behind. */
  const ahead = new Map<string, Head>();
  const ready: Write[] = [];
  const undecided: Write[] = [];
  const refused: [Write, unknown][] = [];
  for (const write of group) {
    try {
      for (let again = true; again;) {
        const broken = write.checkedIds.find((actorId) => failed.has(actorId));
        if (broken !== undefined) throw backendError("append", failed.get(broken));
        again = false;
        try {
          write.number((actorId) => ahead.get(actorId) ?? heads.cached(actorId)!);
        } catch (error) {
          const refused = error instanceof VersionConflictError || error instanceof FencedError;
          const stale = write.checkedIds.filter((actorId) => !fresh.has(actorId) && !ahead.has(actorId));
          if (!refused || stale.length === 0) throw error;
          await read(stale);
          again = true;
        }
      }
      ready.push(write);
      if (group.length > 1) {
        for (const part of write.parts) ahead.set(part.part.actorId, headBehind(part));
      }
    } catch (error) {
      if (write.checkedIds.some((actorId) => ahead.has(actorId))) undecided.push(write);
      else refused.push([write, error]);
    }
  }
  if (refused.length > 0) await refuse(refused, log);
  const isGone = ready.filter((write) => failIfAborted(write) || write.isAnswered).length > 0;
  // What was numbered behind a write that is not stored any more is numbered again.
  if (isGone && ready.length > 1) return { ready: [], undecided: [...ready, ...undecided] };
  return { ready: isGone ? [] : ready, undecided };
}

/** Answers writes that are refused. A log that was deleted or made again refuses as if others had written. */
async function refuse(
  refused: readonly (readonly [Write, unknown])[],
  log: Pick<LogRecord, "assertSame">,
): Promise<void> {
  const replaced = await log.assertSame().then(() => undefined, (error: unknown) => error);
  for (const [write, error] of refused) write.fail(replaced instanceof LogReplacedError ? replaced : error);
}
