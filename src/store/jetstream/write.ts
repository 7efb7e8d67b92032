/**
 * A commit on its way into the stream.
 *
 * @module
 */

import { utf8 } from "../../event/text.ts";
import type { StoredEvent } from "../../event/types.ts";
import { attemptedEvents, type Commit, type CommitPart, numberPart } from "../commit.ts";
import { OutcomeUnknownError } from "../errors.ts";
import type { BatchMessage } from "./batch.ts";
import { type Head, NEW_HEAD } from "./heads.ts";
import type { Layout } from "./layout.ts";
import type { OutgoingMessage } from "./publisher.ts";
import { COMMIT_HEADER, commitHeaders, EXPECTED_SEQUENCE, type Records } from "./record.ts";

/** One actor's part of a write: one message. */
export interface WritePart {
  /** The write that it is of. */
  readonly write: Write;
  /** The part; one without events is a takeOver. */
  readonly part: CommitPart;
  /** The actor's subject. */
  readonly subject: string;
  /** Its events as a JSON array. */
  readonly body: Uint8Array;
  /** The head that it is numbered and guarded against. */
  head: Head;
  /** The actor's newest token once it is stored. */
  fence: number;
  /** The next part in the line for the same actor. */
  next: WritePart | undefined;
}

/** A commit that waits for its answer. */
export class Write {
  /** The random id by which it is recognised among what is stored. */
  readonly id: string;
  /** What is to be stored. */
  readonly commit: Commit;
  /** Its parts. */
  readonly parts: readonly WritePart[];
  /** When to give up, on the clock of `performance.now()`. */
  readonly deadline: number;
  /** How many of its actors are busy with earlier writes. */
  waitsFor = 0;
  /** The answer. */
  readonly answer: Promise<readonly StoredEvent[]>;
  readonly #resolve: (events: readonly StoredEvent[]) => void;
  readonly #reject: (error: unknown) => void;

  constructor(id: string, commit: Commit, bodies: readonly string[], layout: Layout, deadline: number) {
    this.id = id;
    this.commit = commit;
    this.deadline = deadline;
    this.parts = commit.parts.map((part, index): WritePart => ({
      write: this,
      part,
      subject: layout.subject(part.actorId),
      body: utf8(bodies[index]!),
      head: NEW_HEAD,
      fence: 0,
      next: undefined,
    }));
    const { promise, resolve, reject } = Promise.withResolvers<readonly StoredEvent[]>();
    this.answer = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Rejects it if its signal fires while it waits for its turn. */
  failOnAbort(): void {
    this.commit.signal?.addEventListener("abort", this.#abort, { once: true });
  }

  /**
   * Its turn has come.
   *
   * @throws The reason of its signal, if that has fired.
   */
  begin(): void {
    const { signal } = this.commit;
    signal?.removeEventListener("abort", this.#abort);
    signal?.throwIfAborted();
  }

  /** Whether an error is the reason of its signal. */
  aborted(error: unknown): boolean {
    const { signal } = this.commit;
    return signal?.aborted === true && error === signal.reason;
  }

  readonly #abort = (): void => this.#reject(this.commit.signal?.reason);

  /** Whether it may be sent against a head that nobody has read: it expects an actor that is new. */
  get expectsNewActors(): boolean {
    return this.commit.parts.every(({ expected, drafts }) =>
      expected === 0 || (expected === "given" && drafts[0]?.givenVersion === 1)
    );
  }

  /**
   * Numbers it against the heads of its actors.
   *
   * @throws {VersionConflictError | FencedError | InvalidEventError} If it does not fit them.
   */
  number(headOf: (actorId: string) => Head): void {
    for (const part of this.parts) {
      part.head = headOf(part.part.actorId);
      part.fence = numberPart(part.part, part.head, this.commit);
    }
  }

  /** The message of a write of one part. */
  message(records: Records): OutgoingMessage {
    const part = this.parts[0]!;
    const headers = commitHeaders(part.head.sequence, this.#header(part, records));
    return { subject: part.subject, data: part.body, headers };
  }

  /** The messages of a write of several parts. */
  batch(records: Records): BatchMessage[] {
    return this.parts.map((part): BatchMessage => ({
      subject: part.subject,
      data: part.body,
      headers: [
        [EXPECTED_SEQUENCE, String(part.head.sequence)],
        [COMMIT_HEADER, this.#header(part, records)],
      ],
    }));
  }

  /** The head that a part leaves behind at a sequence. */
  headAfter({ part, head, fence }: WritePart, sequence: number): Head {
    const version = part.drafts.at(-1)?.event.version ?? head.version;
    return { version, fence, sequence, trail: head.trail.after(sequence) };
  }

  /** Answers with the events as they were stored. */
  succeed(firstSequence: number, records: Records): void {
    const events: StoredEvent[] = [];
    for (let index = 0; index < this.parts.length; index++) {
      const { drafts } = this.parts[index]!.part;
      for (let place = 0; place < drafts.length; place++) {
        const { event } = drafts[place]!;
        event.position = records.position(firstSequence + index, place);
        events.push(Object.freeze(event));
      }
    }
    this.#resolve(events);
  }

  /** Answers that it was not stored. */
  fail(error: unknown): void {
    this.#reject(error);
  }

  /** Answers that nobody could learn whether it was stored. */
  giveUp(cause: unknown): void {
    this.#reject(
      new OutcomeUnknownError(attemptedEvents(this.commit), this.parts[0]!.head.version, { cause }),
    );
  }

  #header({ subject, body, part, head, fence }: WritePart, records: Records): string {
    return records.encode(subject, body, {
      commitId: this.id,
      previousVersion: head.version,
      versions: part.drafts.map(({ event }) => event.version),
      fence,
      unfenced: this.commit.fencingToken === undefined,
      previousSequence: head.sequence,
      trail: head.trail,
    });
  }
}
