/**
 * A commit on its way into the stream.
 *
 * @module
 */

import type { StoredEvent } from "../../../event/types.ts";
import { listOf } from "../../../short_lived.ts";
import {
  checkCondition,
  type Commit,
  type CommitPart,
  numberPart,
  outcomeUnknown,
  tokenOf,
} from "../../commit.ts";
import { BackendError } from "../../errors.ts";
import type { CommitCondition } from "../../types.ts";
import type { PublishOutcome } from "../../../nats/jetstream/acknowledgement.ts";
import { backendError } from "../failures.ts";
import type { CommitEncoder } from "../format/commit_encoder.ts";
import { CommittedHead, type Head, NEW_HEAD } from "./head.ts";
import type { KnownActor } from "./known_actor.ts";
import type { Layout } from "../format/layout.ts";
import type { EventLog } from "../read/event_log.ts";
import type { OutgoingMessage, Publication } from "../../../nats/jetstream/publication.ts";
import type { CommitDecoder } from "../format/commit_decoder.ts";
import { NoAnswerError } from "../../../nats/jetstream/api_errors.ts";
import { NotConnectedError } from "../../../nats/errors.ts";
import { refusalText } from "../../../nats/refusals.ts";
import { Trail } from "../format/trail.ts";

/** The reason with which the work for an answered write is aborted; no caller sees it. */
const ANSWERED = new Error("The save was answered.");

/** Why a write that met no error was not sent before its deadline. */
const LATE =
  "it could not be sent within saveTimeout, because the server did not answer or earlier saves took too long, " +
  "and is not stored: try again, with fewer saves at once or with a longer saveTimeout";

/** One actor's part of a write: one message. */
export class WritePart {
  /** Its write. */
  readonly write: Write;
  /** The part; one without events is a takeOver. */
  readonly part: CommitPart;
  /** The actor's subject. */
  readonly subject: string;
  /** Its events as a JSON array. */
  readonly body: string;
  /** The actor, while the write is in its queue. */
  actor: KnownActor | undefined;
  /** The head that its versions and its guard are derived from; set before `number()`. */
  head: Head = NEW_HEAD;
  /** The trail that it stores: that of the head. */
  trail: Trail = Trail.EMPTY;
  /** The actor's newest token once it is stored. */
  fence = 0;
  /** The checksum of its message. */
  checksum = 0;
  /** The next part in the queue of the same actor. */
  next: WritePart | undefined;

  constructor(write: Write, part: CommitPart, subject: string, body: string) {
    this.write = write;
    this.part = part;
    this.subject = subject;
    this.body = body;
  }
}

/** A condition on an actor that the write does not write to: one more message. */
export interface WriteCondition extends CommitCondition {
  /** The actor's subject. */
  readonly subject: string;
  /** The head that it is checked and guarded against; set before `number()`. */
  head: Head;
}

const NO_WRITE_CONDITIONS: readonly WriteCondition[] = [];

/** Nothing was sent. */
interface NotSentInTime {
  /** Distinguishes it from the outcome of a message that was sent. */
  readonly status: "not taken";
  /** The reason. */
  readonly error: unknown;
}

/** The outcome of the first try to send a write. */
export type WriteOutcome = PublishOutcome | NotSentInTime;

/** A commit that waits for its answer. It receives the outcome of its first try itself. */
export class Write implements Publication {
  /** The random id that identifies it among stored commits. */
  readonly id: string;
  /** What is to be stored. */
  readonly commit: Commit;
  /** Its parts. */
  readonly parts: readonly WritePart[];
  /** Its conditions on other actors. */
  readonly conditions: readonly WriteCondition[];
  /** How many messages it has. */
  readonly messageCount: number;
  /** When to give up, on the clock of `performance.now()`. */
  readonly deadline: number;
  /** How many of its actors are busy with earlier writes. */
  waitsFor = 0;
  /** Its place among what has a deadline. */
  slot = -1;
  /** Whether it was sent, and the outcome of that try is not known yet. */
  isUnderWay = false;
  /** Why it is unknown whether it was stored; `undefined` if it is known. */
  doubt: unknown = undefined;
  /** What has kept it from being stored so far. */
  hindrance: unknown = undefined;
  #wasSent = false;
  #isAnswered = false;
  #ending: AbortController | undefined;
  /** The greatest sequence that the store had seen when it was sent. */
  seen = 0;
  /** Whether the server was asked for it if it counts messages of actors that have none as far as is known. */
  isConfirmed = false;
  /** The answer. */
  readonly answer: Promise<readonly StoredEvent[]>;
  readonly #onOutcome: (write: Write, tried: WriteOutcome) => void;
  /** Why the connection is down now, if the server refuses it. */
  readonly #refusal: () => BackendError | undefined;
  readonly #resolve: (events: readonly StoredEvent[]) => void;
  readonly #reject: (error: unknown) => void;

  constructor(
    id: string,
    commit: Commit,
    bodies: readonly string[],
    layout: Layout,
    deadline: number,
    onOutcome: (write: Write, tried: WriteOutcome) => void,
    refusal: () => BackendError | undefined = (): undefined => {},
  ) {
    this.#onOutcome = onOutcome;
    this.#refusal = refusal;
    this.id = id;
    this.commit = commit;
    this.deadline = deadline;
    const parts = listOf<WritePart>();
    for (let index = 0; index < bodies.length; index++) {
      const part = commit.parts[index]!;
      parts.push(new WritePart(this, part, layout.subject(part.actorId), bodies[index]!));
    }
    this.parts = parts;
    this.conditions = commit.conditions.length === 0
      ? NO_WRITE_CONDITIONS
      : commit.conditions.map((condition) => {
        return { ...condition, subject: layout.subject(condition.actorId), head: NEW_HEAD };
      });
    this.messageCount = this.parts.length + this.conditions.length;
    const { promise, resolve, reject } = Promise.withResolvers<readonly StoredEvent[]>();
    this.answer = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** The subject of its first message. */
  get subject(): string {
    return this.parts[0]!.subject;
  }

  /** Whether it was answered. */
  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /** Fires when it is answered, so that the work for it ends: also at its deadline, or by its signal. */
  get ending(): AbortSignal {
    return (this.#ending ??= new AbortController()).signal;
  }

  isOver(now: number): boolean {
    return this.#isAnswered || now >= this.deadline;
  }

  onSent(): void {
    this.#wasSent = true;
    this.isUnderWay = true;
  }

  onOutcome(outcome: PublishOutcome): void {
    this.isUnderWay = false;
    this.#onOutcome(this, outcome);
  }

  onNotSent(error: unknown): void {
    this.#onOutcome(this, { status: "not taken", error });
  }

  /** Answers with the reason of its signal as soon as that fires, until it is sent. */
  listen(): void {
    const { signal } = this.commit;
    signal?.addEventListener("abort", this, { once: true });
    if (signal?.aborted) this.handleEvent();
  }

  /** Takes the event of its signal. */
  handleEvent(): void {
    if (this.#wasSent || this.#isAnswered) return;
    this.fail(this.commit.signal?.reason);
  }

  /** Answers with what is known when its deadline has passed. */
  expire(): void {
    if (this.#isAnswered) return;
    const refusal = this.#refusal();
    const refused = refusal && new NotConnectedError(refusalText(refusal), { cause: refusal });
    const error = refused ?? this.hindrance ?? new BackendError("append", LATE);
    if (this.isUnderWay) this.doubt ??= new NoAnswerError(this.subject, "timeout");
    if (this.doubt !== undefined) this.giveUp(refusal ?? this.doubt);
    else this.fail(backendError("append", error));
  }

  /** Whether it may be sent without reading a head: it expects a new actor. */
  get expectsNewActors(): boolean {
    for (const { version } of this.conditions) if (version !== 0) return false;
    for (const { expected, drafts } of this.commit.parts) {
      if (expected !== 0 && !(expected === "given" && drafts[0]?.givenVersion === 1)) return false;
    }
    return true;
  }

  /** Whether it was sent for an actor without a message: it may be stored, or another commit may be the first one since. */
  get mayBeFirst(): boolean {
    if (this.doubt === undefined) return false;
    const isNew = ({ head }: WritePart | WriteCondition): boolean => head.sequence === 0;
    return this.parts.some(isNew) || this.conditions.some(isNew);
  }

  /** Adds the subjects of those of its actors that have no message as far as is known. */
  addNewSubjects(subjects: string[]): void {
    for (const { actor, subject } of this.parts) {
      if (actor!.head === undefined || actor!.head.sequence === 0) subjects.push(subject);
    }
    for (const { subject } of this.conditions) subjects.push(subject);
  }

  /**
   * Numbers it against the heads of its parts and conditions.
   *
   * @throws {VersionConflictError | FencedError | InvalidEventError} If it does not fit them.
   */
  number(): void {
    for (const condition of this.conditions) checkCondition(condition, condition.head);
    for (const part of this.parts) {
      part.trail = part.head.trail;
      part.fence = numberPart(part.part, part.head, this.commit);
    }
  }

  /** Its messages: one for each part, then one for each condition. */
  messages(encoder: CommitEncoder, layout: Layout): OutgoingMessage[] {
    const messages = listOf<OutgoingMessage>();
    for (const written of this.parts) {
      const { subject, body, part, head, fence, trail } = written;
      const versions: number[] = [];
      for (const { event } of part.drafts) versions.push(event.version);
      messages.push(encoder.encode(subject, body, {
        commitId: this.id,
        previousVersion: head.version,
        versions,
        fence,
        unfenced: tokenOf(part, this.commit) === undefined,
        previousSequence: head.sequence,
        trail,
      }));
      written.checksum = encoder.checksum;
    }
    for (const { subject, head } of this.conditions) {
      messages.push(encoder.encodeCondition(layout.noActor, subject, this.id, head.sequence));
    }
    return messages;
  }

  /** Answers with the events as they were stored, and keeps the heads that it leaves behind unless later ones were seen. */
  succeed(firstSequence: number, log: EventLog, decoder: CommitDecoder): void {
    log.saw(firstSequence + this.parts.length - 1);
    const events = listOf<StoredEvent>();
    for (let index = 0; index < this.parts.length; index++) {
      const { actor, checksum, head, fence, trail, part: { drafts } } = this.parts[index]!;
      const sequence = firstSequence + index;
      let { version } = head;
      for (let place = 0; place < drafts.length; place++) {
        const { event } = drafts[place]!;
        ({ version } = event);
        event.position = decoder.position(sequence, place, checksum);
        events.push(Object.freeze(event));
      }
      const known = actor!.head;
      if (known === undefined || known.sequence <= sequence) {
        actor!.head = new CommittedHead(version, fence, sequence, trail);
      }
    }
    this.#answered();
    this.#resolve(events);
  }

  /** Answers that it was not stored. */
  fail(error: unknown): void {
    this.#answered();
    this.#reject(error);
  }

  /** Answers that it is unknown whether it was stored. */
  giveUp(cause: unknown): void {
    this.#answered();
    this.#reject(outcomeUnknown(this.commit, this.parts[0]!.head.version, cause));
  }

  #answered(): void {
    this.#isAnswered = true;
    this.#ending?.abort(ANSWERED);
    this.commit.signal?.removeEventListener("abort", this);
  }
}
