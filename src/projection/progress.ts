/**
 * How far a worker has come: the record that it works on, and when it is committed.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import { partOf } from "../event/upcast.ts";
import type { EventIdentity, Guard } from "./attempt.ts";
import { Checkpointer } from "./checkpointer.ts";
import { CheckpointConflictError } from "./errors.ts";
import type { UnitOfWork } from "./checkpoints.ts";
import { type CompiledProjection, type KeyOf, recordIdOf } from "./compile.ts";
import { type Advance, type Draft, moveOn, reach } from "./draft.ts";
import { forgetFailing } from "./failing.ts";
import type { DoneRange, ParkedEvent, ProjectionRecord } from "./record.ts";
import { countParked } from "./observation.ts";
import { whileRetried } from "./retry_claim.ts";

/** The most events that go by between two looks at the clock. */
const MOST_EVENTS_PER_LOOK = 64;
/** The clock is looked at about this often, in ms, as long as handlers do not take longer. */
const LOOK_INTERVAL = 2;
/** How long handlers that do not wait for anything may keep the process from everything else, in ms. */
const LONGEST_TURN = 50;

/** What the rest of a record takes at most: its names, its filter, what became of parked events. */
const RECORD_BYTES = 40_000;

/** The record of a projection in the hands of its worker. */
export class Progress<Tx> {
  /** The record as it is being worked on. */
  readonly draft: Draft;
  /** What handlers write with, if anything. */
  readonly unit: UnitOfWork<Tx> | undefined;
  readonly #projection: CompiledProjection<Tx>;
  readonly #checkpointer: Checkpointer<Tx>;
  readonly #guard: Guard;
  readonly #onProgress: ((position: string) => void) | undefined;
  readonly #blocked = new Set<string>();
  /** The keys with events that were left out since the last commit began, and those that it is to hold. */
  #left = new Set<string>();
  #leaving: ReadonlySet<string> = new Set();
  #isUnitUsed = false;
  /** The record before the first event whose writes the unit holds. */
  #beforeUnit: Draft | undefined;
  #onlyEvent: EventIdentity | undefined;
  #carefulUntil: string | undefined;
  #isDirty = false;
  #committing: Promise<void> | undefined;
  /** Finds what is done behind the position, where events are handled at once. */
  #rangesOf: (() => readonly DoneRange[] | undefined) | undefined;
  /** Whether the last commit has failed. */
  #hasFailed = false;
  /** Why no further commit may follow: what was read of the record since is of another worker, or of a retry. */
  #superseded: CheckpointConflictError | undefined;
  #uncommitted = 0;
  #committedAt = performance.now();
  #lookedAt = this.#committedAt;
  #turnedAt = this.#committedAt;
  #eventsPerLook = 1;
  #untilLook = 1;

  private constructor(
    projection: CompiledProjection<Tx>,
    checkpointer: Checkpointer<Tx>,
    guard: Guard,
    onProgress?: (position: string) => void,
  ) {
    this.#projection = projection;
    this.#checkpointer = checkpointer;
    this.#guard = guard;
    this.#onProgress = onProgress;
    this.unit = projection.checkpoints.begin?.(recordIdOf(projection));
    this.draft = { ...checkpointer.record, retry: undefined };
    this.#isDirty = checkpointer.isTakenOver;
    this.#noteBlocked();
  }

  /** Reads the checkpoint. */
  static async load<Tx>(
    projection: CompiledProjection<Tx>,
    guard: Guard,
    onProgress?: (position: string) => void,
  ): Promise<Progress<Tx>> {
    const checkpointer = await Checkpointer.load(projection);
    await whileRetried(checkpointer, guard, projection);
    return new Progress(projection, checkpointer, guard, onProgress);
  }

  /** Whether something is not committed yet. */
  get isDirty(): boolean {
    return this.#isDirty;
  }

  /** Whether it should be committed as soon as no further event has arrived. */
  get isUrgent(): boolean {
    return this.#isUnitUsed;
  }

  /** How long what was handled may wait for its checkpoint, in ms. */
  get patience(): number {
    return Math.max(0, this.#committedAt + this.#projection.checkpointInterval - performance.now());
  }

  /** Whether an event waits behind a parked one of its key. */
  isBlocked(event: EventIdentity): boolean {
    return this.#blocked.size > 0 && this.#blocked.has(keyIn(this.#projection, event));
  }

  /** Whether an event is one of several of a stored event, and is handled already, or waits behind a parked one of them. */
  isDone(event: StoredEvent): boolean {
    const part = partOf(event);
    if (!part) return false;
    const { parts, parked } = this.draft;
    return parts?.some(({ position, handled }) => position === event.position && part.index < handled) ||
      parked.some(({ position }) => position === event.position);
  }

  /** Asks for what is done behind the position whenever the record is looked at. */
  set rangesOf(find: () => readonly DoneRange[] | undefined) {
    this.#rangesOf = find;
  }

  /** Notes that the unit of work holds writes of the event that the record is about to go past. */
  useUnit(event: EventIdentity): void {
    this.#onlyEvent = this.#isUnitUsed ? undefined : event;
    if (!this.#isUnitUsed) {
      this.#noteRanges();
      this.#beforeUnit = { ...this.draft };
    }
    this.#isUnitUsed = true;
  }

  /** Settles when the commit that is in progress has ended; writes of a handler must not be kept before. */
  get committing(): Promise<void> | undefined {
    return this.#committing;
  }

  /** Whether the event in hand is to be committed alone, so that a refused commit is known to be of its writes. */
  get isCareful(): boolean {
    return this.#carefulUntil !== undefined && (this.draft.position ?? "") < this.#carefulUntil;
  }

  /**
   * Goes back to before the first event whose writes were refused at their commit. From there on to where the record was,
   * each event is committed alone.
   *
   * @param until The last position that was handed out.
   * @returns The event that was refused, if there was only one.
   */
  async takeBack(until: string | undefined): Promise<EventIdentity | undefined> {
    const { draft } = this;
    const only = this.#isUnitUsed ? this.#onlyEvent : undefined;
    if (!this.isCareful) this.#carefulUntil = until ?? draft.position ?? "";
    for (const name of Object.keys(draft)) delete (draft as Partial<Record<string, unknown>>)[name];
    Object.assign(draft, this.#beforeUnit ?? this.#checkpointer.record);
    this.#isUnitUsed = false;
    this.#beforeUnit = undefined;
    this.#noteBlocked();
    await this.flush();
    return only;
  }

  /**
   * Goes past an event that is done with. It answers at once as long as there is nothing to be waited for.
   *
   * @param waited Whether its handler was waited for, so that time may have passed.
   */
  pass(event: StoredEvent, advance: Advance, waited: boolean): Promise<void> | undefined {
    const { draft } = this;
    advance(draft, event);
    draft.handled++;
    if (draft.failing) forgetFailing(draft, event.position);
    return this.#moved(waited);
  }

  /** Goes past an event that waits behind a parked one. */
  leave(event: EventIdentity, advance: Advance = moveOn): Promise<void> | undefined {
    this.#left.add(keyIn(this.#projection, event));
    return this.goPast(event, advance);
  }

  /** Goes past an event that is done already. */
  goPast(event: EventIdentity, advance: Advance = moveOn): Promise<void> | undefined {
    advance(this.draft, event);
    return this.#moved(false);
  }

  #moved(waited: boolean): Promise<void> | undefined {
    this.#isDirty = true;
    if (++this.#uncommitted >= this.#projection.checkpointEvents) return this.flush();
    return waited || --this.#untilLook <= 0 ? this.#look() : undefined;
  }

  /** Looks at the clock: is the right to work over, is a commit due, or are timers waiting? */
  #look(): Promise<void> | undefined {
    this.#guard.check();
    const now = performance.now();
    const isSlow = now - this.#lookedAt > LOOK_INTERVAL;
    this.#eventsPerLook = isSlow
      ? Math.max(1, this.#eventsPerLook >> 2)
      : Math.min(MOST_EVENTS_PER_LOOK, this.#eventsPerLook * 2);
    this.#untilLook = this.#eventsPerLook;
    this.#lookedAt = now;
    if (now - this.#committedAt >= this.#projection.checkpointInterval) return this.flush();
    if (now - this.#turnedAt >= LONGEST_TURN) return this.#yieldTurn();
    return this.#guard.isOver() ? Promise.resolve() : undefined;
  }

  /** Lets timers, sockets and signals run: leases are renewed by timers. */
  async #yieldTurn(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#turnedAt = performance.now();
    this.#guard.check();
  }

  /**
   * Reports to waiters in this process what has been handled. While something is parked, only the record shows what was;
   * and what was written in the unit of work can be read after its commit.
   */
  tell(): void {
    if (!this.#isUnitUsed) this.#report();
  }

  #report(): void {
    const { position, parked, intent, reactions } = this.draft;
    const isSettled = parked.length === 0 && !intent?.length && !reactions?.length;
    if (position !== undefined && isSettled) this.#onProgress?.(position);
  }

  /** Moves the checkpoint past events that the filter left out. */
  skipTo(position: string | undefined): void {
    if (position === undefined || position <= (this.draft.position ?? "")) return;
    reach(this.draft, position);
    this.draft.parts = this.draft.parts?.filter((other) => other.position > position);
    this.#isDirty = true;
  }

  /** Changes the record; `flush()` commits it. */
  amend(change: (draft: Draft) => void): void {
    change(this.draft);
    this.#noteBlocked();
    this.#isDirty = true;
  }

  /** Notes that a process has ended its work. Returns whether there was anything to note. */
  endRunning(process: string): boolean {
    if (this.draft.running !== process) return false;
    this.amend((draft) => draft.running = undefined);
    return true;
  }

  /** Commits what is not committed yet, and waits for the commit that is in progress. */
  async flush(): Promise<void> {
    while (this.#committing) await this.#committing;
    if (this.#isDirty) await this.commit();
  }

  /**
   * Commits what was handled before the work ends with a failure. What belongs to a commit that has failed is not
   * repeated: the writes of its handlers are gone. A failure here adds nothing to the first one.
   */
  async salvage(): Promise<void> {
    while (this.#committing) await this.#committing;
    if (this.#hasFailed) return;
    await this.flush().catch(() => {});
  }

  /** Commits the record, together with what handlers wrote; one commit after the other. */
  async commit(): Promise<void> {
    for (let waiting; (waiting = this.#committing ?? this.unit?.beforeCommit?.());) await waiting;
    if (this.#superseded) {
      this.unit?.afterCommit?.();
      throw this.#superseded;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#committing = promise;
    try {
      await this.#commitNow();
    } finally {
      this.unit?.afterCommit?.();
      this.#committing = undefined;
      resolve();
    }
  }

  async #commitNow(): Promise<void> {
    this.#guard.check();
    const before = this.#checkpointer.record.position;
    this.#hasFailed = true;
    // What changes while the record is written is committed the next time.
    this.#isDirty = false;
    this.#uncommitted = 0;
    this.#noteRanges();
    this.#leaving = this.#left.union(this.#leaving);
    this.#left = new Set();
    const unit = this.#isUnitUsed ? this.unit : undefined;
    for (let isCommitted = false; !isCommitted;) isCommitted = await this.#commitOrJoin(unit);
    this.#hasFailed = false;
    if (this.#checkpointer.record.position !== before) this.#guard.onCommit?.();
    this.#leaving = new Set();
    this.#isUnitUsed = false;
    this.#beforeUnit = undefined;
    this.#committedAt = performance.now();
    this.#report();
  }

  #noteRanges(): void {
    if (this.#rangesOf) this.draft.done = this.#rangesOf();
  }

  /** Returns whether it has committed; if not, it has taken over what a retry of a parked event has changed. */
  async #commitOrJoin(unit: UnitOfWork<Tx> | undefined): Promise<boolean> {
    try {
      await this.#checkpointer.commit(this.draft, unit);
      return true;
    } catch (error) {
      this.#isDirty = true;
      // The writes of a unit are gone with its commit: its events are handled again.
      if (!(error instanceof CheckpointConflictError)) throw error;
      this.#superseded = error;
      if (unit || this.draft.retry) throw error;
      const { record: known } = this.#checkpointer;
      await this.#checkpointer.reload();
      await whileRetried(this.#checkpointer, this.#guard, this.#projection);
      const { record: stored } = this.#checkpointer;
      if (!isRetryOf(known, stored) || this.#freesLeft(stored)) throw error;
      const own = this.draft.parked.filter((entry) => !known.parked.includes(entry));
      this.draft.parked = [...stored.parked, ...own];
      this.draft.resolved = stored.resolved;
      this.draft.handled += stored.handled - known.handled;
      this.#noteBlocked();
      this.#superseded = undefined;
      return false;
    }
  }

  /** Whether a key is waited for no more whose events were left out since the last commit: they must be read again. */
  #freesLeft({ parked }: ProjectionRecord): boolean {
    return [...this.#left, ...this.#leaving].some((left) =>
      !parked.some((entry) => entry.blocksActor && blockedKeyOf(entry) === left)
    );
  }

  /** Reports an event that was set aside. */
  noteParked({ position, eventType, actorId, error }: ParkedEvent): void {
    const { name, version } = this.#projection.id;
    countParked(name);
    this.#guard.warn({
      code: "projection-parked",
      message:
        `projection "${name}" version ${version} has parked the event "${eventType}" of actor "${actorId}" at ` +
        `position ${position} (${error}): correct the cause, then call retryParked() or discardParked()`,
    });
  }

  /** The most bytes that what a reaction appends, or what is parked, may take in the record: half of it each. */
  get room(): number {
    const { maxBytes = Infinity } = this.#projection.checkpoints;
    return Math.floor((maxBytes - RECORD_BYTES) / 2);
  }

  /** Forgets what was not committed. */
  discard(): void {
    this.unit?.discard();
  }

  #noteBlocked(): void {
    this.#blocked.clear();
    for (const entry of this.draft.parked) if (entry.blocksActor) this.#blocked.add(blockedKeyOf(entry));
  }
}

/** The key of an event; its actor's id, if its key is not known. */
export function keyIn({ keyOf }: { readonly keyOf: KeyOf | undefined }, event: EventIdentity): string {
  if (!keyOf) return event.actorId;
  try {
    return keyOf(event as StoredEvent);
  } catch {
    return event.actorId; // its handler fails for the same reason
  }
}

/** The key that waits behind a parked event. */
export function blockedKeyOf({ key, actorId }: ParkedEvent): string {
  return key ?? actorId;
}

/** Whether a record differs from the one before it by retries of parked events alone. */
function isRetryOf(before: ProjectionRecord, after: ProjectionRecord): boolean {
  const { owner, position, intent, reactions, stopped } = before;
  return after.owner?.id === owner?.id && after.position === position && after.stopped === stopped &&
    isSame(after.parts, before.parts) && isSame(after.intent, intent) && isSame(after.reactions, reactions);
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
