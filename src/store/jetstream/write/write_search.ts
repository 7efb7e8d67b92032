/**
 * Searching for what is stored in place of a write that was refused.
 *
 * @module
 */

import { DamagedHistoryError } from "../../errors.ts";
import type { JetStreamContext } from "../context.ts";
import { type Head, headAfter } from "./head.ts";
import type { CommitDecoder } from "../format/commit_decoder.ts";
import type { EventLog } from "../read/event_log.ts";
import { Repairs } from "../read/repairs.ts";
import type { StoredMessage } from "../../../nats/jetstream/stored_message.ts";
import type { Write } from "./write.ts";

/** What is found in place of a write. */
export type Found =
  /** The write itself, its first message at this sequence. */
  | { readonly own: number }
  /** Another commit: the write cannot be stored there any more. */
  | "another"
  /** Neither: the write may still be stored. */
  | "nothing";

/**
 * Searches the place of a refused write. One of unknown outcome may still be stored, unless another commit directly
 * follows the one that it was guarded with.
 *
 * @param fresh Keeps the heads that are read on the way.
 */
export async function findWrite(
  { heads, log, decoder }: Pick<JetStreamContext, "heads" | "log" | "decoder">,
  write: Write,
  fresh: Map<string, Head>,
): Promise<Found> {
  const uncertain = write.doubt !== undefined;
  let found: Found = "nothing";
  for (const [index, { part, subject, head }] of write.parts.entries()) {
    const { message, head: current, fault } = await heads.latest(part.actorId, write.ending, head);
    if (fault) throw fault;
    fresh.set(part.actorId, current);
    if (current.sequence === head.sequence) {
      if (log.replicas.leaderLacks(current.sequence)) throw lackedByLeader(part.actorId);
      continue;
    }
    if (!uncertain) found = "another";
    const candidates = [message];
    // Other commits may have followed it.
    if (uncertain) {
      candidates.push(await nextCommit(log.until(write.ending), decoder, subject, head.sequence));
    }
    for (const candidate of candidates) {
      const header = candidate && decoder.header(candidate);
      if (header instanceof DamagedHistoryError) throw header;
      if (header?.commitId === write.id) {
        if (candidate === message) heads.set(part.actorId, headAfter(header));
        return { own: header.sequence - index };
      }
      // The server had checked that it follows on the head; a leader that lags may not have the one that does.
      if (header?.previousSequence === head.sequence) found = "another";
    }
  }
  let isExcluded = false;
  for (const { actorId, head } of write.conditions) {
    const { head: current, fault } = await heads.latest(actorId, write.ending, head);
    if (fault) throw fault;
    fresh.set(actorId, current);
    if (current.sequence !== head.sequence) isExcluded = true;
  }
  if (!isExcluded || found !== "nothing") return found;
  // No try can be stored any more. Only if there was one may it have been stored before.
  return !uncertain || await isAbsent(log.until(write.ending), write) ? "another" : "nothing";
}

/**
 * Whether a write that cannot be stored any more has not been stored before: a leader that was deposed may not have it.
 * All of its parts are stored at once, so that one of them is enough.
 */
async function isAbsent(log: EventLog, write: Write): Promise<boolean> {
  const { subject, head } = write.parts[0]!;
  const isBefore = (last: StoredMessage | undefined): boolean => (last?.sequence ?? 0) <= head.sequence;
  return isBefore(await log.upToDate(() => log.lastOf(subject), isBefore));
}

/** The commit that follows a sequence in an actor's subject: the message there may be one that a repair passes over. */
async function nextCommit(
  log: EventLog,
  decoder: CommitDecoder,
  subject: string,
  sequence: number,
): Promise<StoredMessage | undefined> {
  const message = await log.nextOf(subject, sequence + 1);
  const commit = message && decoder.read(message);
  if (!(commit instanceof DamagedHistoryError)) return message;
  const repair = await new Repairs({ log, decoder }).coveredBy(commit);
  return repair ? await log.at(repair.sequence) : message;
}

/** The fault of an actor whose latest commit the leader does not have. */
function lackedByLeader(actorId: string): DamagedHistoryError {
  return new DamagedHistoryError(
    "the leader of the stream does not have the latest commit, which another replica has: make another server the " +
      "leader",
    { actorId },
  );
}
