/**
 * A backend whose users see personal data, over one that stores them encrypted.
 *
 * @module
 */

import type { Draft } from "../event/draft.ts";
import { freezeJson } from "../event/json.ts";
import type { StoredEvent } from "../event/types.ts";
import { handled } from "../event/upcast.ts";
import { backoff, sleep } from "../sleep.ts";
import type { Warn } from "../warning.ts";
import type {
  BackwardLogRead,
  HistoryRead,
  LogBatch,
  LogFollow,
  LogRead,
  StorageBackend,
  Verified,
} from "./backend.ts";
import { checkExpected, Commit, CommitPart, outcomeUnknown } from "./commit.ts";
import { OutcomeUnknownError, VersionConflictError } from "./errors.ts";
import { PERSONAL, type PersonalCodec } from "./personal_data.ts";
import type { PersonalVault } from "./personal_vault.ts";
import type { Snapshot } from "./snapshot.ts";
import type {
  ActorSummary,
  ExpectedVersion,
  Finding,
  ListActorsOptions,
  StoreLimits,
  VerifyOptions,
} from "./types.ts";

/** How often an append at any version is tried against other writers. */
const MAX_TRIES = 100;
const FIRST_WAIT = 1;
const LONGEST_WAIT = 50;

/** Encrypts and decrypts between a store and its backend. */
export class PersonalBackend implements StorageBackend {
  readonly #inner: StorageBackend;
  readonly #codec: PersonalCodec;
  readonly #vault: PersonalVault;
  readonly #warn: Warn;

  constructor(inner: StorageBackend, codec: PersonalCodec, vault: PersonalVault, warn: Warn) {
    this.#inner = inner;
    this.#codec = codec;
    this.#vault = vault;
    this.#warn = warn;
  }

  get limits(): StoreLimits {
    return this.#inner.limits;
  }

  commit(commit: Commit): readonly StoredEvent[] | Promise<readonly StoredEvent[]> {
    let isPersonal = false;
    for (const { drafts } of commit.parts) {
      for (const draft of drafts) if (this.#codec.isPersonal(draft)) isPersonal = true;
    }
    if (!isPersonal) return this.#inner.commit(commit);
    const [part] = commit.parts;
    const isOpen = part!.expected === "any" || part!.expected === "exists";
    return isOpen ? this.#commitAtLatest(commit, part!) : this.#commitSealed(commit);
  }

  /** What is encrypted belongs to a version: a commit at any version is one at the latest, which is tried again. */
  async #commitAtLatest(commit: Commit, part: CommitPart): Promise<readonly StoredEvent[]> {
    const { actorId, drafts, expected, required, fencingToken } = part;
    for (let attempt = 1;; attempt++) {
      const version = await this.#inner.getLatestVersion(actorId);
      checkExpected(actorId, expected as ExpectedVersion, { version });
      commit.signal?.throwIfAborted();
      try {
        const atLatest = new CommitPart(actorId, drafts, version, required, fencingToken);
        return await this.#commitSealed(withParts(commit, [atLatest]));
      } catch (error) {
        const mayRepeat = error instanceof VersionConflictError && !error.isCondition && attempt < MAX_TRIES;
        if (!mayRepeat) throw error;
        await sleep(backoff(attempt, FIRST_WAIT, LONGEST_WAIT), commit.signal);
      }
    }
  }

  /** Encrypts a commit and stores it; without a promise if the keys are in memory, and the backend needs none. */
  #commitSealed(commit: Commit): readonly StoredEvent[] | Promise<readonly StoredEvent[]> {
    let waits = false;
    const parts = commit.parts.map((part) => {
      const sealed = this.#seal(part);
      waits ||= sealed instanceof Promise;
      return sealed;
    });
    return waits
      ? Promise.all(parts).then((sealed) => this.#send(commit, sealed))
      : this.#send(commit, parts as CommitPart[]);
  }

  #send(
    commit: Commit,
    sealed: readonly CommitPart[],
  ): readonly StoredEvent[] | Promise<readonly StoredEvent[]> {
    commit.signal?.throwIfAborted();
    const stored = this.#inner.commit(withParts(commit, sealed));
    if (!(stored instanceof Promise)) return plainEvents(stored, commit);
    return stored.then((events) => plainEvents(events, commit), (error) => {
      throw error instanceof OutcomeUnknownError
        ? outcomeUnknown(commit, error.expectedVersion, error.cause)
        : error;
    });
  }

  /** Encrypts a part; its events get their versions. */
  #seal({ actorId, drafts, expected, required, fencingToken }: CommitPart): CommitPart | Promise<CommitPart> {
    const first = typeof expected === "number" ? expected + 1 : 0;
    let waits = false;
    const sealed = drafts.map((draft, index) => {
      const version = expected === "given" ? draft.givenVersion! : first + index;
      draft.event.version = version;
      const result = this.#codec.seal(draft, version);
      waits ||= result instanceof Promise;
      return result;
    });
    const partOf = (drafts: readonly Draft[]): CommitPart =>
      new CommitPart(actorId, drafts, expected, required, fencingToken);
    return waits ? Promise.all(sealed).then(partOf) : partOf(sealed as Draft[]);
  }

  takeOver(actorId: string, token: number): void | Promise<void> {
    return this.#inner.takeOver(actorId, token);
  }

  getEvents(
    actorId: string,
    fromVersion: number,
    signal?: AbortSignal,
  ): readonly StoredEvent[] | Promise<readonly StoredEvent[]> {
    const events = this.#inner.getEvents(actorId, fromVersion, signal);
    return events instanceof Promise ? events.then((read) => this.#open(read)) : this.#open(events);
  }

  async *readHistory(actorId: string, read: HistoryRead): AsyncIterable<readonly StoredEvent[]> {
    for await (const events of this.#inner.readHistory(actorId, read)) yield* this.#batches(events);
  }

  async *readLog(read: LogRead): AsyncIterable<LogBatch> {
    for await (const batch of this.#inner.readLog(read)) yield* this.#openBatch(batch);
  }

  async *readLogBackward(read: BackwardLogRead): AsyncIterable<readonly StoredEvent[]> {
    for await (const events of this.#inner.readLogBackward(read)) yield* this.#batches(events);
  }

  async *followLog(follow: LogFollow): AsyncIterable<LogBatch> {
    for await (const batch of this.#inner.followLog(follow)) yield* this.#openBatch(batch);
  }

  async *#openBatch({ events, position }: LogBatch): AsyncIterable<LogBatch> {
    if (events.length === 0) return yield { events, position };
    for await (const opened of this.#batches(events)) {
      const isAll = opened.length === events.length;
      yield { events: opened, position: isAll ? position : opened.at(-1)!.position };
    }
  }

  /** Decrypts events that were read together: the very list if nothing is encrypted, a promise if a key is not in memory. */
  #open(events: readonly StoredEvent[]): readonly StoredEvent[] | Promise<readonly StoredEvent[]> {
    let opened: (StoredEvent | Promise<StoredEvent>)[] | undefined;
    let waits = false;
    for (let index = 0; index < events.length; index++) {
      const event = events[index]!;
      const result = this.#codec.open(event);
      if (result !== event && !opened) opened = events.slice(0, index);
      if (result instanceof Promise) waits = Boolean(handled(result)); // all are awaited together
      opened?.push(result);
    }
    return waits ? Promise.all(opened!) : opened as StoredEvent[] | undefined ?? events;
  }

  /** The same. If an event cannot be decrypted, those before it are handed out first: it may be beyond what is asked for. */
  async *#batches(events: readonly StoredEvent[]): AsyncIterable<readonly StoredEvent[]> {
    let opened: readonly StoredEvent[];
    try {
      opened = await this.#open(events);
    } catch {
      return yield* this.#oneByOne(events);
    }
    yield opened;
  }

  async *#oneByOne(events: readonly StoredEvent[]): AsyncIterable<readonly StoredEvent[]> {
    const before: StoredEvent[] = [];
    for (const event of events) {
      try {
        before.push(await this.#codec.open(event));
      } catch (error) {
        if (before.length > 0) yield before;
        throw error;
      }
    }
    yield before;
  }

  getLatestVersion(actorId: string, signal?: AbortSignal): number | Promise<number> {
    return this.#inner.getLatestVersion(actorId, signal);
  }

  getLastPosition(signal?: AbortSignal): Promise<string | undefined> {
    return this.#inner.getLastPosition(signal);
  }

  listActors(options: ListActorsOptions): AsyncIterable<ActorSummary> {
    return this.#inner.listActors(options);
  }

  checkPosition(position: string, signal?: AbortSignal): void | Promise<void> {
    return this.#inner.checkPosition(position, signal);
  }

  verify(options: VerifyOptions): Promise<Verified> {
    return this.#inner.verify(options);
  }

  diagnose(signal?: AbortSignal): Promise<Finding[]> {
    return this.#inner.diagnose(signal);
  }

  /** A state may have personal data of each person that the actor has data of. */
  async saveSnapshot(snapshot: Snapshot, signal?: AbortSignal): Promise<void> {
    const cipher = await this.#vault.snapshotCipherFor(snapshot.actorId);
    if (cipher === undefined) return await this.#inner.saveSnapshot(snapshot, signal);
    if (cipher === "refused") {
      return this.#warn({
        code: "snapshot-refused",
        message:
          `a snapshot of "${snapshot.actorId}" is not stored, because a person was forgotten whose data it may have`,
      });
    }
    const sealed = cipher.encrypt(JSON.stringify(snapshot.state), placeOf(snapshot));
    const state = Object.freeze({ [PERSONAL]: [cipher.keys, sealed] });
    await this.#inner.saveSnapshot(Object.freeze({ ...snapshot, state }), signal);
  }

  async getLatestSnapshot(
    actorId: string,
    kind: string,
    signal?: AbortSignal,
  ): Promise<Snapshot | undefined> {
    const snapshot = await this.#inner.getLatestSnapshot(actorId, kind, signal);
    const state = snapshot?.state;
    if (typeof state !== "object" || state === null || !(PERSONAL in state)) return snapshot;
    const [keys, sealed] = state[PERSONAL] as readonly [readonly string[], string];
    const cipher = await this.#vault.snapshotCipherOf(keys);
    const text = cipher?.decrypt(sealed, placeOf(snapshot!));
    if (text !== undefined) return Object.freeze({ ...snapshot!, state: freezeJson(JSON.parse(text)) });
    if (cipher) {
      this.#warn({
        code: "snapshot-ignored",
        message: `the snapshot "${kind}" of "${actorId}" cannot be decrypted: the whole history is replayed`,
      });
    }
    return undefined;
  }

  deleteSnapshots(kind: string, signal: AbortSignal): Promise<number> {
    return this.#inner.deleteSnapshots(kind, signal);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

function withParts(
  { fencingToken, unfenced, signal, conditions }: Commit,
  parts: readonly CommitPart[],
): Commit {
  return new Commit(parts, fencingToken, unfenced, signal, conditions);
}

/** The stored events, with the data that were given. */
function plainEvents(stored: readonly StoredEvent[], { parts }: Commit): readonly StoredEvent[] {
  const plain: StoredEvent[] = [];
  for (const { drafts } of parts) {
    for (const { event } of drafts) {
      const own = stored[plain.length]!;
      // Without personal fields, it may be the very event that is stored.
      if (own !== event) {
        event.position = own.position;
        Object.freeze(event);
      }
      plain.push(event);
    }
  }
  return plain;
}

/** What an encrypted snapshot belongs to. */
function placeOf({ actorId, kind, schemaVersion, version }: Snapshot): string {
  return JSON.stringify(["snapshot", actorId, kind, schemaVersion, version]);
}
