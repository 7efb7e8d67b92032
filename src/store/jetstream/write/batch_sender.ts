/**
 * Sending commits of several messages as atomic batches.
 *
 * A server with file storage takes 1.5 ms for a batch of any few messages, for one after the other (measured). Commits that
 * wait meanwhile are sent as one batch, in which each of them has its own guards. Nothing of a refused batch is stored, so
 * that each of its commits is then sent alone.
 *
 * @module
 */

import { NotConnectedError } from "../../../nats/errors.ts";
import { batchOf } from "../../../nats/jetstream/batch.ts";
import type { PublishOutcome } from "../../../nats/jetstream/acknowledgement.ts";
import type { OutgoingMessage, Publication } from "../../../nats/jetstream/publication.ts";
import type { Publisher } from "../../../nats/jetstream/publisher.ts";

/** A server accepts 50 open batches for each stream; some of them are left to other programs. */
const MAX_IN_FLIGHT = 16;
/** How many are under way while commits wait to be sent together: one is prepared while the server stores another. */
const MAX_GROUPS_IN_FLIGHT = 2;
/** What is sent together at most, unless a single commit has more. */
const MAX_GROUP_MESSAGES = 256;
const MAX_GROUP_BYTES = 1024 * 1024;

/** The error of commits that were sent together and refused: one of them was, which the server does not name. */
export const REFUSED_TOGETHER = new Error("The commits were refused together.");

/** How a commit is sent. */
export interface BatchOptions {
  /** Takes it out of the queue; once it is sent, the signal has no effect. */
  readonly signal: AbortSignal;
  /** Whether no other commit is sent with it. */
  readonly isAlone: boolean;
}

/** A commit that has not been sent yet. */
interface Waiting extends BatchOptions {
  readonly messages: readonly OutgoingMessage[];
  readonly publication: Publication;
  readonly abort: () => void;
}

/** Sends atomic batches. */
export class BatchSender {
  readonly #publisher: Publisher;
  readonly #waiting = new Set<Waiting>();
  #inFlight = 0;
  #isSending = false;

  constructor(publisher: Publisher) {
    this.#publisher = publisher;
  }

  /** Sends a commit at once, or together with others as soon as fewer batches are under way. */
  submit(messages: readonly OutgoingMessage[], publication: Publication, options: BatchOptions): void {
    const { signal } = options;
    if (signal.aborted) return publication.onNotSent(signal.reason);
    const waiting: Waiting = {
      ...options,
      messages,
      publication,
      abort: () => {
        if (this.#waiting.delete(waiting)) publication.onNotSent(signal.reason);
      },
    };
    signal.addEventListener("abort", waiting.abort, { once: true });
    this.#waiting.add(waiting);
    this.#sendNext();
  }

  #sendNext(): void {
    if (this.#isSending) return; // what could not be sent returns here
    this.#isSending = true;
    try {
      while (this.#inFlight < MAX_IN_FLIGHT) {
        const group = this.#take();
        if (group.length === 0) return;
        this.#send(group);
      }
    } finally {
      this.#isSending = false;
    }
  }

  /** Takes what is to be sent next out of the queue. */
  #take(): Waiting[] {
    const mayBegin = this.#inFlight < MAX_GROUPS_IN_FLIGHT;
    // A queue of the publisher would send what was aborted in the meantime.
    const mayJoin = this.#publisher.isReady;
    const now = performance.now();
    const group: Waiting[] = [];
    let [count, bytes] = [0, 0];
    for (const waiting of this.#waiting) {
      const { isAlone, messages, publication } = waiting;
      if (publication.isOver?.(now)) {
        this.#remove(waiting);
        publication.onNotSent(new NotConnectedError("The deadline has passed."));
        continue;
      }
      if (isAlone ? group.length > 0 : !mayBegin) continue;
      count += messages.length;
      bytes += sizeOf(messages);
      if (group.length > 0 && (count > MAX_GROUP_MESSAGES || bytes > MAX_GROUP_BYTES)) break;
      group.push(waiting);
      if (isAlone || !mayJoin) break;
    }
    group.forEach((waiting) => this.#remove(waiting));
    return group;
  }

  #remove(waiting: Waiting): void {
    this.#waiting.delete(waiting);
    waiting.signal.removeEventListener("abort", waiting.abort);
  }

  #send(group: readonly Waiting[]): void {
    const [first] = group;
    const isTogether = group.length > 1;
    this.#inFlight++;
    this.#publisher.submit(batchOf(group.flatMap(({ messages }) => messages)), {
      isOver: (now) => group.every(({ publication }) => publication.isOver?.(now)),
      onSent: () => group.forEach(({ publication }) => publication.onSent?.()),
      onOutcome: (outcome) => {
        this.#inFlight--;
        settle(group, outcome);
        this.#sendNext();
      },
      onNotSent: (error) => {
        this.#inFlight--;
        for (const { publication } of group) publication.onNotSent(isTogether ? REFUSED_TOGETHER : error);
        this.#sendNext();
      },
    }, isTogether ? {} : { signal: first!.signal });
  }
}

/** Gives each commit of a batch its outcome: the sequence of its own last message if it is stored. */
function settle(group: readonly Waiting[], outcome: PublishOutcome): void {
  if (outcome.status === "refused" && group.length > 1) {
    for (const { publication } of group) publication.onNotSent(REFUSED_TOGETHER);
    return;
  }
  if (outcome.status !== "stored") {
    for (const { publication } of group) publication.onOutcome(outcome);
    return;
  }
  let sequence = outcome.sequence;
  for (const { messages } of group) sequence -= messages.length;
  for (const { messages, publication } of group) {
    sequence += messages.length;
    publication.onOutcome({ ...outcome, sequence });
  }
}

function sizeOf(messages: readonly OutgoingMessage[]): number {
  let size = 0;
  for (const { data, headers } of messages) size += data.length + (headers ? headers.encode().length : 0);
  return size;
}
