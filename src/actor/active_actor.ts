/**
 * One actor in memory: its mailbox, its state, and its commits.
 *
 * Commands that wait while a commit is on its way are decided together, one after the other on the state that the ones
 * before lead to, and are stored in one commit. Each is answered once that is stored. If the commit is refused because
 * another writer came first, the actor reads what is new and decides all of them again.
 *
 * @module
 */

import { AetherError } from "../errors.ts";
import type { StoredEvent } from "../event/types.ts";
import { settledWithin } from "../sleep.ts";
import type { Replayed } from "../store/fold.ts";
import { CommandCall, hasId, isWaiting, type QueryCall } from "./call.ts";
import { type ActorOwner, Commits, MovedError } from "./commit.ts";
import { answer, answerQuery, decide, type Decided, foldAhead } from "./decision.ts";
import type { AnyActor } from "./definition.ts";
import { ActorFailedError } from "./errors.ts";
import { ActorHistory, type HistorySetup } from "./history.ts";
import { Ownership } from "./ownership.ts";
import { eventsAtRelease, isSnapshotDue, keepSnapshots } from "./snapshots.ts";
import { StateChanges } from "./state_changes.ts";
import { type AnyDecider, deciderOf } from "./untyped.ts";

/** How much longer than its calls an actor waits for a store that does not answer, in milliseconds. */
const MAX_SILENCE = 500;

/** What actors work with. */
export interface ActorSetup extends HistorySetup {
  /** The time of events, and by which timers are due, in milliseconds since 1970. */
  readonly now: () => number;
  /** Is called when the actor has no calls left. */
  readonly onIdle: (actor: ActiveActor) => void;
  /** Under what the actor works; none if this process has all actors. */
  readonly owner: ActorOwner | undefined;
}

/** An actor in memory. */
export class ActiveActor {
  /** The actor. */
  readonly id: string;
  readonly #definition: AnyActor;
  readonly #setup: ActorSetup;
  readonly #commits: Commits;
  readonly #ownership: Ownership;
  readonly #history: ActorHistory;
  readonly #queue: (CommandCall | QueryCall)[] = [];
  #current: Replayed<unknown> | undefined;
  #running: Promise<void> | undefined;
  #snapshot: Promise<void> | undefined;
  /** When it was last called, on the clock of `performance.now()`. */
  lastUsed = 0;

  /**
   * Loads nothing before the first call.
   *
   * @param history What was read of it already, if something was.
   */
  constructor(id: string, definition: AnyActor, setup: ActorSetup, history?: ActorHistory) {
    this.id = id;
    this.#definition = definition;
    this.#setup = setup;
    this.#commits = new Commits(setup.store, id, setup.owner, setup.warn);
    this.#ownership = new Ownership(setup.owner, this.#commits);
    this.#history = history ?? new ActorHistory(id, this.#decider, setup);
  }

  // Not kept in a field, of which there would be one for each actor.
  get #decider(): AnyDecider {
    return deciderOf(this.#definition);
  }

  get #changes(): StateChanges {
    return StateChanges.of(this.#definition);
  }

  /** Under what it works. */
  get owner(): ActorOwner | undefined {
    return this.#setup.owner;
  }

  /** Its state as it is stored, if it is known. */
  get current(): Replayed<unknown> | undefined {
    return this.#current;
  }

  /** How many calls wait. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Whether it works on calls. */
  get isBusy(): boolean {
    return this.#running !== undefined;
  }

  /** Whether a commit that was given up may still be stored. Only this instance knows of it: it is not to be released. */
  get isUnsettled(): boolean {
    return this.#commits.isUnknown;
  }

  /** Tries once to learn what became of that commit. */
  settle(): Promise<void> {
    return this.#running ??= this.#run(true);
  }

  /** Takes a call, to be answered after those before it. */
  enqueue(call: CommandCall | QueryCall): void {
    this.#queue.push(call);
    this.#running ??= this.#run();
  }

  /** Whether a call waits for its answer. */
  get hasCalls(): boolean {
    return this.#calls.some(isWaiting);
  }

  /** Waits until all calls are answered, and keeps a snapshot if that shortens the next load. */
  async passivate(): Promise<void> {
    await this.#finish();
    const current = this.#current;
    if (!current || !this.#decider.snapshot || this.#running) return;
    await settledWithin(this.#keepSnapshot(current, eventsAtRelease(this.#decider)), MAX_SILENCE);
  }

  /** Rejects the calls that wait, and waits for the one that is being stored. */
  async close(error: unknown): Promise<void> {
    for (const call of this.#queue.splice(0)) call.reject(error);
    await this.#finish();
  }

  get #calls(): readonly (CommandCall | QueryCall)[] {
    return [...this.#commits.sending.map(({ call }) => call), ...this.#queue];
  }

  /** Waits until all calls are answered. A store that does not answer is waited for a little longer than they are. */
  async #finish(): Promise<void> {
    const running = this.#running;
    if (running) {
      const answers = Promise.allSettled(this.#calls.map(({ promise }) => promise));
      await Promise.race([running, answers.then(() => settledWithin(running, MAX_SILENCE))]);
    }
    if (this.#snapshot) await settledWithin(this.#snapshot, MAX_SILENCE);
  }

  async #run(isSettling = false): Promise<void> {
    await undefined; // calls of the same turn of the event loop are decided together
    if (isSettling) await this.#settleOnce();
    while (this.#queue.length > 0) {
      try {
        await this.#next();
      } catch (error) {
        this.#current = undefined;
        const isKnown = error instanceof AetherError || error instanceof MovedError;
        const reason = isKnown ? error : new ActorFailedError(this.id, error); // the fold has failed
        for (const call of this.#queue.splice(0)) call.reject(reason);
      }
    }
    this.#running = undefined;
    this.#setup.onIdle(this);
  }

  /** Works on the calls at the head of the queue: those that one commit answers. */
  async #next(): Promise<void> {
    if (this.#commits.isUnknown) await this.#settle();
    if (this.#ownership.isToFence(this.#queue)) await this.#fence();
    if (this.#changes.isLasting) this.#current = undefined;
    const current = this.#current ??= await this.#history.load();
    const { ids } = this.#history;
    if (!ids.isComplete && this.#queue.some(hasId)) await ids.complete();
    const { found } = this.#changes;
    this.#ownership.assertHeld();
    const group = this.#decide(current);
    if (this.#changes.found > found) return this.#beginAgain(group);
    if (group.every(({ events }) => events.length === 0)) {
      if (this.#ownership.isOpen(group)) return this.#requeue(group);
      return void answer(this.#decider, current, group, []);
    }
    const stored = await this.#commits.store(group, current.version);
    if (typeof stored !== "string") {
      this.#ownership.noteStored();
      return this.#take(current, group, stored);
    }
    if (stored === "reload") this.#current = undefined;
    if (stored === "conflict" || stored === "fewer") this.#requeue(group);
    if (stored === "conflict") this.#current = await this.#history.loadNew(current);
  }

  /** A command is decided once it is known what became of the commit that was given up; a query need not wait for that. */
  async #settle(): Promise<void> {
    await this.#commits.settle(() => this.#queue.find(isWaiting) instanceof CommandCall);
    if (!this.#commits.isUnknown && this.#current) this.#current = await this.#history.loadNew(this.#current);
  }

  async #settleOnce(): Promise<void> {
    let tries = 0;
    await this.#commits.settle(() => tries++ === 0).catch(() => {}); // another process owns the actor
    this.#current = undefined;
  }

  async #fence(): Promise<void> {
    const isFenced = await this.#ownership.fence(this.#queue);
    if (isFenced && this.#current) this.#current = await this.#history.loadNew(this.#current);
  }

  /** The state was changed while it was used: what was decided is decided again on what is stored. */
  #beginAgain(group: readonly Decided[]): void {
    this.#requeue(group);
    this.#current = undefined;
    this.#changes.warn(this.#setup.warn);
  }

  #requeue(group: readonly Decided[]): void {
    for (const { call } of group) call.sent = undefined;
    this.#queue.unshift(...group.map(({ call }) => call));
  }

  /** Takes calls from the queue: queries are answered, commands decided until the commit is full. */
  #decide({ state, version }: Replayed<unknown>): Decided[] {
    const group: Decided[] = [];
    let named: Set<string> | undefined;
    const { eventsPerCommit, bytesPerEvent } = this.#setup.store.limits;
    let count = 0;
    let folded: { readonly state: unknown } | undefined = { state };
    while (this.#queue.length > 0 && group.length < this.#commits.groupLimit) {
      if (group.length > 0 && this.#changes.found > 0) break;
      const call = this.#queue[0]!;
      if (call.isSettled) {
        this.#queue.shift();
        continue;
      }
      if (!(call instanceof CommandCall)) {
        if (count > 0) break; // it is answered from what is stored
        this.#queue.shift();
        answerQuery(this.#definition, call, state);
        if (this.#changes.isLasting) break;
        continue;
      }
      if (this.#ownership.isTooEarly(call)) break;
      if (call.id !== undefined) {
        if (named?.has(call.id)) break; // it is found once the first one is stored
        const earlier = this.#history.ids.versionOf(call.id);
        if (earlier !== undefined) {
          this.#queue.shift();
          this.#repeat(call, call.id, earlier);
          continue;
        }
      }
      if (group.length > 0) {
        folded = foldAhead(this.#definition, folded.state, version, group.at(-1)!, bytesPerEvent);
      }
      if (!folded) break;
      const reached = version + (group.at(-1)?.events.length ?? 0);
      const decided = decide(this.#definition, call, folded.state, reached, this.#setup.now());
      if (count > 0 && count + decided.events.length > eventsPerCommit) break;
      this.#queue.shift();
      version += group.at(-1)?.events.length ?? 0;
      count += decided.events.length;
      if (call.id !== undefined) (named ??= new Set()).add(call.id);
      group.push(decided);
    }
    return group;
  }

  /** Folds what was stored, and answers. */
  #take(
    current: Replayed<unknown>,
    group: readonly Decided[],
    stored: readonly StoredEvent[],
  ): void {
    for (const event of stored) this.#history.ids.note(event);
    if (this.#ownership.isLost) { for (const { call } of group) call.reject(new MovedError(true)); }
    const state = answer(this.#decider, current, group, stored);
    if (!state) return void (this.#current = undefined);
    this.#current = {
      state: state.value,
      version: stored.at(-1)!.version,
      events: current.events + stored.length,
      snapshotVersion: current.snapshotVersion,
    };
    // Without a snapshot that is due not even a promise: most commits have none.
    if (this.#snapshot || !isSnapshotDue(this.#decider, this.#current)) return;
    this.#snapshot = this.#keepSnapshot(this.#current).finally(() => this.#snapshot = undefined);
  }

  async #keepSnapshot(current: Replayed<unknown>, every?: number): Promise<void> {
    const isKept = await keepSnapshots(
      this.#setup,
      this.id,
      this.#decider,
      current,
      this.#history.ids,
      every,
    );
    if (isKept && this.#current) this.#current = { ...this.#current, snapshotVersion: current.version };
  }

  /** Answers a command that was executed before. */
  async #repeat(call: CommandCall, commandId: string, version: number): Promise<void> {
    try {
      const answer = await this.#history.answerTo(commandId, version);
      if (this.#ownership.isLost) throw new MovedError(true);
      call.isStored = true;
      call.resolve(answer);
    } catch (error) {
      call.reject(error);
    }
  }
}
