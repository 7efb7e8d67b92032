/**
 * Fetching a history along its trail: commits by sequence, pipelined, in the order of the read, without a search by the
 * server.
 *
 * @module
 */

import { DamagedHistoryError } from "../../errors.ts";
import { lastVersion } from "../../continuity.ts";
import type { EventLog } from "./event_log.ts";
import type { CommitDecoder, OrFault } from "../format/commit_decoder.ts";
import type { StoredCommit } from "../format/commit_header.ts";
import { Repairs } from "./repairs.ts";
import { entryWeight, type TrailEntry } from "../format/trail.ts";

/** A trail is wrong: the history has to be searched for. */
export class BrokenTrail extends Error {}

/** The versions that are wanted. */
export interface VersionRange {
  /** The lowest. */
  readonly fromVersion: number;
  /** The highest. */
  readonly toVersion: number;
}

/** How a trail is walked. */
export interface TrailWalk extends VersionRange {
  /** The order of the commits. */
  readonly direction: "forward" | "backward";
  /** How many commits are likely to be needed: not many more are read ahead. */
  readonly expected: number;
}

/** At most and at least how many commits are fetched at once. */
const MOST_AT_ONCE = 512;
const LEAST_AT_ONCE = 16;
/** How many bytes they should have together. */
const BYTES_AT_ONCE = 8 * 1024 * 1024;

/** A commit that is needed, or a block with such commits. */
interface Node extends TrailEntry {
  /** The commit that was read; `undefined` if it has expired. */
  read?: OrFault<StoredCommit> | undefined;
  /** Whether it was fetched. */
  fetched: boolean;
}

/**
 * The commits of an actor with the versions of a range, and perhaps some before and after them.
 *
 * @param head The latest one.
 * @throws {BrokenTrail} If a trail leads to anything other than commits of this actor.
 */
export async function* walkTrail(
  log: EventLog,
  decoder: CommitDecoder,
  head: StoredCommit,
  headBytes: number,
  walk: TrailWalk,
): AsyncGenerator<readonly OrFault<StoredCommit>[]> {
  const walker = new Walker(log, decoder, head, headBytes, walk);
  yield* walker.run();
}

class Walker {
  readonly #log: EventLog;
  readonly #decoder: CommitDecoder;
  readonly #actorId: string;
  readonly #subject: string;
  readonly #walk: TrailWalk;
  /** What is still to be read, in the order of the stream. */
  #front: Node[];
  #bytes: number;
  #commits = 1;
  /** The last commit that was returned. */
  #last: OrFault<StoredCommit> | undefined;
  #firstSequence: Promise<number> | undefined;

  constructor(
    log: EventLog,
    decoder: CommitDecoder,
    head: StoredCommit,
    headBytes: number,
    walk: TrailWalk,
  ) {
    this.#log = log;
    this.#decoder = decoder;
    this.#actorId = head.actorId;
    this.#subject = log.layout.subject(head.actorId);
    this.#walk = walk;
    this.#bytes = headBytes;
    const earlier = trailOf(head).entries().map(unfetched);
    this.#front = [...earlier, { sequence: head.sequence, level: 0, read: head, fetched: true }];
  }

  async *run(): AsyncGenerator<readonly OrFault<StoredCommit>[]> {
    const { fromVersion, toVersion } = this.#walk;
    if (fromVersion > 1) await this.#leaveOutEarlier();
    if (fromVersion > 1 || toVersion < Number.MAX_SAFE_INTEGER) {
      // The last commits of blocks show which blocks are needed.
      await this.#fetch(this.#front.filter(({ level }) => level > 0));
      this.#front = this.#wanted(this.#front);
    }
    while (this.#front.length > 0) {
      const nodes = await this.#take();
      const commits = await this.#expand(nodes);
      if (this.#walk.direction === "forward") {
        if (!this.#last && commits[0]) await this.#checkFirst(commits[0]);
        this.#checkLinks(this.#last ? [this.#last, ...commits] : commits);
        if (commits.some(isRepair)) await this.#checkRepairs(commits.filter(isRepair));
        this.#last = commits.at(-1) ?? this.#last;
        yield commits;
      } else {
        this.#checkLinks(this.#last ? [...commits, this.#last] : commits);
        if (commits.some(isRepair)) await this.#checkRepairs(commits.filter(isRepair));
        this.#last = commits[0] ?? this.#last;
        yield commits.reverse();
      }
    }
    if (this.#walk.direction === "backward" && this.#last) await this.#checkFirst(this.#last);
  }

  /**
   * Leaves out what comes before the range, if the latest commits reach its beginning: as many as versions are wanted, for
   * most commits have an event. A command that begins with a snapshot needs no more.
   */
  async #leaveOutEarlier(): Promise<void> {
    const { fromVersion } = this.#walk;
    const latest = this.#front.length - 1;
    const first = latest -
      Math.max(0, (this.#front[latest]!.read as StoredCommit).previousVersion - fromVersion + 1);
    if (first < 0 || latest - first >= this.#room()) return;
    const nodes = this.#front.slice(first);
    if (nodes.some(({ level }) => level > 0)) return;
    await this.#fetch(nodes);
    const { read } = nodes[0]!;
    if (read && !(read instanceof DamagedHistoryError) && read.previousVersion < fromVersion) {
      this.#front = nodes;
    }
  }

  /** Each commit names the one that was stored before it. */
  #checkLinks(commits: readonly OrFault<StoredCommit>[]): void {
    for (let index = 1; index < commits.length; index++) {
      const before = commits[index - 1]!;
      const commit = commits[index]!;
      if (before instanceof DamagedHistoryError || commit instanceof DamagedHistoryError) continue;
      if (commit.previousSequence !== before.sequence) throw new BrokenTrail("a commit is left out");
    }
  }

  /** A forged repair could hide commits. */
  async #checkRepairs(commits: readonly StoredCommit[]): Promise<void> {
    const repairs = new Repairs({ log: this.#log, decoder: this.#decoder });
    for (const commit of commits) {
      if (!await repairs.isTrue(commit)) throw new BrokenTrail("a repair passes over a commit");
    }
  }

  /** The first commit that was found must be the first one that is needed, or the first one that is kept. */
  async #checkFirst(commit: OrFault<StoredCommit>): Promise<void> {
    if (commit instanceof DamagedHistoryError) return;
    const { previousSequence, previousVersion } = commit;
    if (previousSequence === 0 || previousVersion < this.#walk.fromVersion) return;
    if (await this.#log.mayHaveExpired() && previousSequence < await this.#log.firstSequence()) return;
    throw new BrokenTrail("it ends before the first commit");
  }

  /** Takes the nodes that are fetched next; blocks that are too large are divided first. */
  async #take(): Promise<Node[]> {
    const backward = this.#walk.direction === "backward";
    const room = this.#room();
    for (;;) {
      let count = 0;
      let weight = 0;
      for (; count < this.#front.length; count++) {
        const node = this.#front.at(backward ? -1 - count : count)!;
        weight += entryWeight(node.level);
        if (weight > room && count > 0) break;
      }
      const next = this.#front.at(backward ? -1 : 0)!;
      if (entryWeight(next.level) <= room || next.level <= 1) {
        return backward
          ? this.#front.splice(this.#front.length - count, count)
          : this.#front.splice(0, count);
      }
      await this.#fetch([next]);
      const parts = this.#wanted(this.#open(next));
      this.#front.splice(backward ? this.#front.length - 1 : 0, 1, ...parts);
      assertOrdered(this.#front);
      if (this.#front.length === 0) return [];
    }
  }

  /** All commits of nodes, in the order of the stream. */
  async #expand(nodes: Node[]): Promise<OrFault<StoredCommit>[]> {
    let current = nodes;
    for (;;) {
      await this.#fetch(current);
      current = this.#wanted(current);
      if (current.every(({ level }) => level === 0)) break;
      current = current.flatMap((node) => node.level === 0 ? [node] : this.#open(node));
      assertOrdered(current);
    }
    return current.map(({ read }) => read!);
  }

  /** A block's commits: those that its last one names below its level, and that one itself. */
  #open(node: Node): Node[] {
    const { read, level } = node;
    if (!read) return [];
    const end = { ...node, level: 0 };
    if (read instanceof DamagedHistoryError) throw new BrokenTrail("a commit on the way is damaged");
    return [...trailOf(read).entries(level).map(unfetched), end];
  }

  /** Leaves out commits that have expired or are outside the range. */
  #wanted(nodes: readonly Node[]): Node[] {
    const { fromVersion, toVersion } = this.#walk;
    const wanted: Node[] = [];
    let before = 0;
    for (const node of nodes) {
      if (node.fetched && !node.read) continue;
      const version = node.read && !(node.read instanceof DamagedHistoryError)
        ? lastVersion(node.read)
        : undefined;
      const tooEarly = version !== undefined && version < fromVersion;
      if (!tooEarly && before < toVersion) wanted.push(node);
      if (version !== undefined) before = version;
    }
    return wanted;
  }

  async #fetch(nodes: readonly Node[]): Promise<void> {
    const missing = nodes.filter(({ fetched }) => !fetched);
    if (missing.length === 0) return;
    const messages = await this.#log.all(missing.map(({ sequence }) => sequence));
    for (let index = 0; index < missing.length; index++) {
      const node = missing[index]!;
      const message = messages[index];
      node.fetched = true;
      if (!message) {
        node.read = await this.#absent(node.sequence);
        continue;
      }
      if (message.subject !== this.#subject) {
        throw new BrokenTrail(`sequence ${node.sequence} is of another actor`);
      }
      this.#bytes += message.bytes.length;
      this.#commits++;
      node.read = this.#decoder.read(message);
    }
  }

  /** A message that the leader does not have: it has expired, or it is lost. */
  async #absent(sequence: number): Promise<DamagedHistoryError | undefined> {
    // It is read after the miss, and is then valid for every earlier sequence.
    if (await this.#log.mayHaveExpired()) {
      if (sequence < await (this.#firstSequence ??= this.#log.firstSequence())) return undefined;
      if (sequence < await this.#log.firstSequence()) return undefined;
    }
    return new DamagedHistoryError("a commit is missing", {
      actorId: this.#actorId,
      position: this.#decoder.placeOf(sequence, undefined),
    });
  }

  #room(): number {
    const mean = this.#bytes / this.#commits;
    const most = Math.min(MOST_AT_ONCE, Math.max(LEAST_AT_ONCE, BYTES_AT_ONCE / mean));
    return Math.max(LEAST_AT_ONCE, Math.min(most, this.#walk.expected));
  }
}

function isRepair(commit: OrFault<StoredCommit>): commit is StoredCommit {
  return !(commit instanceof DamagedHistoryError) && commit.events.length === 0 && commit.passedOver > 0;
}

/** Each commit is in one block: a forged trail that names a commit many times would grow without a bound. */
function assertOrdered(nodes: readonly Node[]): void {
  for (let index = 1; index < nodes.length; index++) {
    if (nodes[index]!.sequence <= nodes[index - 1]!.sequence) {
      throw new BrokenTrail("it names a commit twice");
    }
  }
}

function unfetched(entry: TrailEntry): Node {
  return { ...entry, fetched: false };
}

function trailOf({ trail }: StoredCommit): NonNullable<StoredCommit["trail"]> {
  if (!trail) throw new BrokenTrail("a trail does not check out");
  return trail;
}
