/**
 * A commit on its way into Deno KV.
 *
 * @module
 */

import { utf8Length } from "../../text.ts";
import type { StoredEvent } from "../../event/types.ts";
import {
  checkCondition,
  type Commit,
  type CommitPart,
  numberPart,
  outcomeUnknown,
  tokenOf,
} from "../commit.ts";
import { type Head, NEW_HEAD } from "./heads.ts";
import { MAX_VALUE_BYTES } from "../../deno_kv_limits.ts";
import type { Layout } from "./layout.ts";
import { gappedVersions, partName, partText, SAME_RECORD } from "./part_format.ts";
import type { Encoded, ValueFormat } from "./value_format.ts";

/** A version in a list of versions takes at most this. */
const MAX_VERSION_BYTES = 17;
/** The most that a part takes in addition to its events and its actor's id. */
const SHARE_BYTES = 256;
/** Up to this size a part may be in the log with its events; a larger one is only named there. */
const LOGGED_BYTES = 16 * 1024;
/** The most that the name of a part takes in the log in addition to its actor's id. */
const NAME_BYTES = 64;

/** One actor's part of a write. */
export interface WritePart {
  /** The part; one without events is a takeOver. */
  readonly part: CommitPart;
  /** Its events as a JSON array. */
  readonly body: string;
  /** The head that it is numbered and guarded against. */
  head: Head;
  /** The actor's newest token once it is stored. */
  fence: number;
  /** How many events of the same atomic operation precede these. */
  offset: number;
}

/** An actor that a write depends on and does not write. */
export interface WriteCondition {
  /** The actor. */
  readonly actorId: string;
  /** The version that it must be at. */
  readonly version: number;
  /** The head that it is checked and guarded against. */
  head: Head;
}

/** A commit that waits for its answer. */
export class Write {
  /** The random id by which it is recognised among what is stored. */
  readonly id: string;
  /** What is to be stored. */
  readonly commit: Commit;
  /** Its parts. */
  readonly parts: readonly WritePart[];
  /** The actors that it depends on besides. */
  readonly conditions: readonly WriteCondition[];
  /** When to give up, on the clock of `performance.now()`; later than it was at first if it waited behind other writes. */
  deadline: number;
  /** Whether it has begun, and waits for no other write: only then does its own time run. */
  isBegun = false;
  /** The most bytes that it adds to an atomic operation. */
  readonly bytes: number;
  /** The most bytes of the keys that it sets. */
  readonly keyBytes: number;
  /** The most keys that it sets. */
  readonly sets: number;
  /** The least room that it takes in a record of the log, in bytes. */
  readonly namedBytes: number;
  /** Whether it is on its way, so that it may be stored. */
  isSent = false;
  /** Whether it has its answer. */
  isAnswered = false;
  /** The answer. */
  readonly answer: Promise<readonly StoredEvent[]>;
  readonly #resolve: (events: readonly StoredEvent[]) => void;
  readonly #reject: (error: unknown) => void;

  constructor(id: string, commit: Commit, bodies: readonly string[], layout: Layout, deadline: number) {
    this.id = id;
    this.commit = commit;
    this.deadline = deadline;
    this.parts = commit.parts.map((part, index) => ({
      part,
      body: bodies[index]!,
      head: NEW_HEAD,
      fence: 0,
      offset: 0,
    }));
    this.conditions = commit.conditions.map((condition) => ({ ...condition, head: NEW_HEAD }));
    let bytes = 0;
    let keyBytes = 0;
    let allSets = 0;
    let namedBytes = 0;
    for (const { part, body } of this.parts) {
      const versionBytes = part.expected === "given" ? part.drafts.length * MAX_VERSION_BYTES : 0;
      const valueBytes = utf8Length(body) + versionBytes + SHARE_BYTES;
      const key = layout.keyBytes(utf8Length(part.actorId));
      const sets = Math.ceil(valueBytes / MAX_VALUE_BYTES);
      keyBytes += key * sets;
      allSets += sets;
      // The key of the check; each set counts its key twice.
      bytes += key * (1 + 2 * sets) + valueBytes;
      namedBytes += utf8Length(JSON.stringify(part.actorId)) + NAME_BYTES;
    }
    for (const { actorId } of this.conditions) bytes += layout.keyBytes(utf8Length(actorId));
    this.bytes = bytes;
    this.keyBytes = keyBytes;
    this.sets = allSets;
    this.namedBytes = namedBytes;
    const { promise, resolve, reject } = Promise.withResolvers<readonly StoredEvent[]>();
    this.answer = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** The actors it writes to. */
  get actorIds(): string[] {
    return this.parts.map(({ part }) => part.actorId);
  }

  /** The actors that it writes to or depends on. */
  get checkedIds(): readonly string[] {
    return this.conditions.length === 0
      ? this.actorIds
      : this.actorIds.concat(this.conditions.map(({ actorId }) => actorId));
  }

  /** Whether it stores tokens alone. */
  get isTakeOver(): boolean {
    return this.parts[0]!.part.drafts.length === 0;
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
    for (const condition of this.conditions) {
      condition.head = headOf(condition.actorId);
      checkCondition(condition, condition.head);
    }
  }

  /** Answers with the events as they were stored. */
  succeed(positionOf: (index: number) => string): void {
    const events: StoredEvent[] = [];
    for (const { part, offset } of this.parts) {
      let index = offset;
      for (const { event } of part.drafts) {
        event.position = positionOf(index++);
        events.push(Object.freeze(event));
      }
    }
    this.isAnswered = true;
    this.#resolve(events);
  }

  /** Answers that it was not stored. */
  fail(error: unknown): void {
    this.isAnswered = true;
    this.#reject(error);
  }

  /** Answers that its time is over. */
  expire(cause: unknown): void {
    if (this.isSent) this.giveUp(cause);
    else this.fail(cause);
  }

  /** Answers that it is unknown whether it was stored. */
  giveUp(cause: unknown): void {
    if (this.isAnswered) return;
    this.isAnswered = true;
    this.#reject(outcomeUnknown(this.commit, this.parts[0]!.head.version, cause));
  }
}

/** A caller's abort counts until the write is sent. */
export function failIfAborted(write: Write): boolean {
  const { signal } = write.commit;
  if (signal?.aborted) write.fail(signal.reason);
  return signal?.aborted ?? false;
}

/** The head that a numbered part with events leaves behind, to what is stored in the same atomic operation. */
export function headBehind({ part, head, fence }: WritePart): Head {
  const version = part.drafts.at(-1)?.event.version ?? head.version;
  return { version, fence, guard: null, latest: SAME_RECORD };
}

/** The key under which an actor's next part is stored, and which guards all that depends on its head. */
export function guardKey(actorId: string, head: Head, layout: Layout): Deno.KvKey {
  return layout.event(actorId, head.version + 1);
}

/** A part as it is stored. */
export interface EncodedPart {
  /** What is stored under its actor's key. */
  readonly value: Encoded;
  /** What is to be stored in the log: all of it, or its name if it is large. */
  readonly logged: string;
  /** Its name in the log. */
  readonly name: string;
}

/** Encodes a part. */
export function encodePart(write: Write, part: WritePart, values: ValueFormat): EncodedPart {
  const { body, head, fence, offset } = part;
  const { actorId, drafts } = part.part;
  const versions = gappedVersions(head.version, drafts.map(({ event }) => event.version));
  const text = partText({
    commit: write.id,
    previous: head.version,
    ...(head.latest !== undefined && { prior: head.latest }),
    fence,
    token: tokenOf(part.part, write.commit) ?? 0,
    offset,
    ...(versions && { versions }),
  }, body);
  const value = values.encode(`{${text}}`);
  const isLarge = value.chunks.length > 0 || value.value.length > LOGGED_BYTES;
  const name = partName(actorId, head.version, offset, isLarge);
  return { value, name, logged: isLarge ? name : `{"actor":${JSON.stringify(actorId)},${text}}` };
}
