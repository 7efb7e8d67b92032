/**
 * Searching for what is stored in the place of a write that was refused.
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

/** What is found in the place of a write. */
export type Found =
  /** The write itself, its first message at this sequence. */
  | { readonly own: number }
  /** Another commit: it cannot be stored there any more. */
  | "another"
  /** Nothing that proves either: it may still come. */
  | "nothing";

/**
 * Searches the place of a refused write. One of unknown outcome may still come, unless another
 * commit follows directly on what it was guarded with.
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
      if (log.leaderLacks(current.sequence)) throw lackedByLeader(part.actorId);
      continue;
    }
    if (!uncertain) found = "another";
    const candidates = [message];
    // It may have been followed by others since.
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
      // The server had checked that it follows on the head; a leader that lags may not have what does.
      if (header?.previousSequence === head.sequence) found = "another";
    }
  }
  for (const { actorId, head } of write.conditions) {
    const { head: current, fault } = await heads.latest(actorId, write.ending, head);
    if (fault) throw fault;
    fresh.set(actorId, current);
    // That an actor of a condition has moved on does not tell whether the write was stored before.
    if (!uncertain && current.sequence !== head.sequence) found = "another";
  }
  return found;
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

/** Says why no commit of an actor is taken. */
function lackedByLeader(actorId: string): DamagedHistoryError {
  return new DamagedHistoryError(
    "the leader of the stream does not have the latest commit, which another replica has: make another server the " +
      "leader",
    { actorId },
  );
}
