/**
 * Group commit: all commits that wait while an atomic operation is in flight go into the next one.
 *
 * Deno KV gives every atomic operation a transaction and a flush of its own at any concurrency; only the
 * caller can put several commits into one. A commit that is alone does not wait.
 *
 * @module
 */

import type { StoredEvent } from "../../event/types.ts";
import { backoff, sleep } from "../../sleep.ts";
import { countSettled } from "../observation.ts";
import type { Commit } from "../commit.ts";
import { BackendError, DamagedHistoryError, LogReplacedError } from "../errors.ts";
import type { Wakeups } from "../follow.ts";
import { backendError, commitFailure, FIRST_BUSY_WAIT, LONGEST_BUSY_WAIT } from "../../deno_kv_failures.ts";
import type { Heads } from "./heads.ts";
import { buildOperation, countChecks, divideQueue } from "./group.ts";
import type { KvPositions } from "./kv_positions.ts";
import { MAX_CHECKS_REMOTE } from "../../deno_kv_limits.ts";
import type { Layout } from "./layout.ts";
import type { LogRecord } from "./log_record.ts";
import type { CommitReader } from "./commit_reader.ts";
import { getAll } from "./scan.ts";
import type { ValueFormat } from "./value_format.ts";
import { numberGroup } from "./numbering.ts";
import { failIfAborted, guardKey, headBehind, Write } from "./write.ts";

/** The random beginning of a writer's commit ids. */
function newIdPrefix(): string {
  return crypto.getRandomValues(new Uint8Array(9)).toBase64({ alphabet: "base64url" });
}

/** How often an atomic operation may be refused although nothing that it checks has changed. */
const MAX_UNEXPLAINED = 20;

/** What a writer works with. */
export interface WriterSetup {
  /** The handle to write through. */
  readonly kv: Deno.Kv;
  /** The log that is written to. */
  readonly log: LogRecord;
  /** Reads what is stored. */
  readonly reader: CommitReader;
  /** The keys. */
  readonly layout: Layout;
  /** The log's positions. */
  readonly positions: KvPositions;
  /** Reads and writes values. */
  readonly values: ValueFormat;
  /** The heads of actors. */
  readonly heads: Heads;
  /** Is notified of each commit. */
  readonly wakeups: Wakeups;
  /** How many checks an atomic operation may have, until the backend reports another limit. */
  readonly maxChecks: number;
  /** How many checks an atomic operation has at most, unless what is added has to follow what is in it. */
  readonly usualChecks: number;
  /** How many atomic operations may be on their way at once. */
  readonly maxInFlight: number;
  /** How long a commit may take, in milliseconds. */
  readonly timeout: number;
}

/**
 * Writes commits, in groups. Commits that depend on one another, since they write the same actor or one has a condition
 * on what the other writes, are stored in the order in which they are given: together, or one group after the other.
 */
export class GroupWriter {
  readonly #setup: WriterSetup;
  readonly #idPrefix: string = newIdPrefix();
  #writes = 0;
  #maxChecks: number;
  #queue: Write[] = [];
  readonly #busy = new Set<string>();
  readonly #inFlight = new Set<readonly Write[]>();
  #scheduled = false;
  readonly #closing = new AbortController();
  #watch: ReturnType<typeof setTimeout> | undefined;

  constructor(setup: WriterSetup) {
    this.#setup = setup;
    this.#maxChecks = setup.maxChecks;
  }

  /** Stores a commit whose events are encoded. */
  write(commit: Commit, bodies: readonly string[]): Promise<readonly StoredEvent[]> {
    const id = this.#idPrefix + (this.#writes++).toString(36);
    const write = new Write(id, commit, bodies, this.#setup.layout, performance.now() + this.#setup.timeout);
    this.#queue.push(write);
    this.#schedule();
    return write.answer;
  }

  /** Goes on in a microtask, so that the saves of one task go together. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      while (this.#inFlight.size < this.#setup.maxInFlight) {
        if (this.#queue.length === 0) break;
        const alive = this.#queue.filter((write) => !failIfAborted(write));
        const { layout, usualChecks } = this.#setup;
        const limits = { maxChecks: this.#maxChecks, usualChecks };
        const { group, rest } = divideQueue(alive, this.#busy, layout, limits);
        this.#queue = rest;
        if (group.length === 0) break;
        this.#inFlight.add(group);
        for (const write of group) write.isBegun = true;
        for (const write of group) for (const actorId of write.actorIds) this.#busy.add(actorId);
        this.#run(group);
      }
      this.#watchDeadlines();
    });
  }

  /** Stores a group, and then goes on with what has come meanwhile. */
  async #run(group: readonly Write[]): Promise<void> {
    await this.#store(group);
    for (const write of group) for (const actorId of write.actorIds) this.#busy.delete(actorId);
    this.#inFlight.delete(group);
    this.#schedule();
  }

  /** The database answers: what waits behind other writes has waited for them, not for the database. */
  #restartWaiting(): void {
    const deadline = performance.now() + this.#setup.timeout;
    for (const write of this.#queue) if (!write.isBegun) write.deadline = deadline;
  }

  /** Releases its timer. Every write has its answer; what was given up is not sent again. */
  close(): void {
    clearTimeout(this.#watch);
    this.#closing.abort();
  }

  /**
   * Ends every wait at its deadline. The timer outlives the writes that it was set for, since setting one costs
   * more than a look at nothing; it keeps no process alive.
   */
  #watchDeadlines(): void {
    if (this.#watch !== undefined) return;
    const earliest = Math.min(...this.#unanswered().map(({ deadline }) => deadline));
    if (earliest === Infinity) return;
    const watch = setTimeout(() => {
      this.#watch = undefined;
      const now = performance.now();
      const cause = new BackendError("append", `Deno KV has not answered in ${this.#setup.timeout} ms`, {
        reason: "unreachable",
      });
      for (const write of this.#unanswered()) if (write.deadline <= now) write.expire(cause);
      this.#queue = this.#queue.filter((write) => !write.isAnswered);
      this.#watchDeadlines();
    }, Math.max(1, earliest - performance.now()));
    Deno.unrefTimer(watch);
    this.#watch = watch;
  }

  #unanswered(): Write[] {
    return [...this.#inFlight, this.#queue].flat().filter((write) => !write.isAnswered);
  }

  /** Stores a group; never rejects. What another writer came before goes back to the head of the queue. */
  async #store(group: readonly Write[]): Promise<void> {
    let ready: readonly Write[] = [];
    try {
      const numbered = await numberGroup(group, this.#setup);
      ready = numbered.ready;
      this.#tryAgain(numbered.undecided); // their actors are busy until this group is stored
      if (ready.length > 0) await this.#commit(ready);
    } catch (error) {
      for (const write of ready) {
        if (error instanceof LogReplacedError) write.fail(error);
        else write.giveUp(error);
      }
    }
  }

  /** Commits a group as one atomic operation, until it is known what became of it. */
  async #commit(group: readonly Write[]): Promise<void> {
    const { log } = this.#setup;
    const deadline = Math.max(...group.map((write) => write.deadline));
    const operation = buildOperation(group, this.#setup);
    let uncertain: unknown;
    for (let attempt = 1;; attempt++) {
      let result: Deno.KvCommitResult | Deno.KvCommitError;
      try {
        for (const write of group) write.isSent = true;
        result = await operation.commit();
        this.#restartWaiting();
      } catch (error) {
        const failure = commitFailure(error);
        if (failure === "unknown" || failure === "closed") uncertain = error;
        if (failure === "busy" || failure === "unknown") {
          const wait = backoff(attempt, FIRST_BUSY_WAIT, LONGEST_BUSY_WAIT);
          await sleep(wait, this.#closing.signal).catch(() => {});
          if (performance.now() <= deadline && !this.#closing.signal.aborted) continue;
        }
        if (failure === "too-many-checks" && countChecks(group) > MAX_CHECKS_REMOTE) {
          this.#maxChecks = MAX_CHECKS_REMOTE;
          this.#tryAgain(group);
        } else if (uncertain !== undefined) {
          for (const write of group) write.giveUp(error);
        } else {
          for (const write of group) write.fail(backendError("append", error));
        }
        return;
      }
      if (result.ok) {
        log.assertFile();
        for (const write of group) this.#succeed(write, result.versionstamp);
        if (uncertain !== undefined) countSettled("deno-kv", group.length);
        return;
      }
      if (await this.#explain(group, deadline)) {
        if (uncertain !== undefined) countSettled("deno-kv", group.length);
        return;
      }
      if (attempt > MAX_UNEXPLAINED) {
        const error = new BackendError(
          "append",
          "Deno KV refuses the commit, and nothing that it checks has changed",
        );
        for (const write of group) {
          if (uncertain === undefined) write.fail(error);
          else write.giveUp(error);
        }
        return;
      }
    }
  }

  /**
   * Finds out why an atomic operation was refused. Its own commits may be there: KV Connect repeats an operation whose
   * answer was lost, and reports the repetition.
   *
   * @returns Whether any guard had changed. Then nothing of the operation can be stored any more, and what is not there
   * is tried again on its own.
   */
  async #explain(group: readonly Write[], deadline: number): Promise<boolean> {
    const { kv, log, reader, layout, heads } = this.#setup;
    await log.assertSame();
    const own = new Map<Write, string>();
    const failed = new Map<Write, unknown>();
    // What writes depend on is read first: once it has changed, whether their own keys are there is final.
    let changed = false;
    const conditions = group.flatMap((write) =>
      write.conditions.map((condition) => ({ write, ...condition }))
    );
    const checked = await getAll(kv, conditions.map(({ actorId, head }) => guardKey(actorId, head, layout)));
    for (const [index, { write, actorId, head }] of conditions.entries()) {
      if (checked[index]!.versionstamp === head.guard) continue;
      changed = true;
      await heads.read(actorId).catch((error) => failed.set(write, error));
    }
    const parts = group.flatMap((write) => write.parts.map((part) => ({ write, part })));
    const entries = await getAll(kv, parts.map(({ part }) => guardKey(part.part.actorId, part.head, layout)));
    for (const [index, { write, part }] of parts.entries()) {
      const entry = entries[index]!;
      if (entry.versionstamp === part.head.guard) continue;
      changed = true;
      const record = entry.versionstamp === null ? undefined : await reader.read(entry);
      if (record && !(record instanceof DamagedHistoryError) && record.commitId === write.id) {
        own.set(write, entry.versionstamp!);
      } else await heads.read(part.part.actorId).catch((error) => failed.set(write, error));
    }
    if (!changed) return false;
    const again: Write[] = [];
    for (const write of group) {
      const versionstamp = own.get(write);
      if (versionstamp !== undefined) this.#succeed(write, versionstamp);
      else if (failed.has(write)) write.fail(backendError("append", failed.get(write)));
      else if (performance.now() > deadline) {
        write.fail(new BackendError("append", "other writers came first for too long: try again"));
      } else again.push(write);
    }
    this.#tryAgain(again);
    return true;
  }

  /** Puts writes that are certainly not stored back to the head of the queue. */
  #tryAgain(writes: readonly Write[]): void {
    for (const write of writes) write.isSent = false;
    this.#queue.unshift(...writes.filter((write) => !write.isAnswered));
  }

  /** Answers a write that is stored, and keeps the heads that it leaves behind. */
  #succeed(write: Write, versionstamp: string): void {
    const { heads, positions, wakeups } = this.#setup;
    for (const part of write.parts) {
      const { head, fence } = part;
      const left = write.isTakeOver
        ? { version: head.version, fence, guard: versionstamp, latest: head.latest }
        : { ...headBehind(part), latest: versionstamp };
      heads.saved(part.part.actorId, left);
    }
    write.succeed(positions.of(versionstamp, write.id));
    wakeups.notify();
  }
}
