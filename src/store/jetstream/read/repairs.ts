/**
 * Messages that other programs have published to an actor's subject, and the repairs that pass over them.
 *
 * @module
 */

import { DamagedHistoryError } from "../../errors.ts";
import { RecentMap } from "../../recent_map.ts";
import type { JetStreamContext } from "../context.ts";
import { scanForward } from "./actor_scan.ts";
import { NO_ACTOR } from "../format/layout.ts";
import { isStray, type OrFault } from "../format/commit_decoder.ts";
import type { CommitHeader } from "../format/commit_header.ts";

/** For how many actors the last result is kept. */
const MAX_RUNS = 1_000;

/** The log, and what reads its messages. */
type LogContext = Pick<JetStreamContext, "log" | "decoder">;

/** Consecutive stray messages of one actor. */
interface Run {
  /** The sequence that the search began at. */
  readonly from: number;
  /** The last stray message that was found. */
  readonly lastSequence: number;
  /** How many were found. */
  readonly count: number;
  /** What is stored after them; `undefined` if nothing is. */
  readonly next: OrFault<CommitHeader> | undefined;
}

/** Finds the repairs of stray messages, for one read of the log or of a history. It reads only if there are any. */
export class Repairs {
  readonly #context: LogContext;
  #runs: RecentMap<Run> | undefined;

  constructor(context: LogContext) {
    this.#context = context;
  }

  /** Whether a fault is a stray message that a repair passes over. */
  async covers(fault: DamagedHistoryError): Promise<boolean> {
    return await this.coveredBy(fault) !== undefined;
  }

  /** The repair that passes over the stray message of a fault; `undefined` if there is none. */
  async coveredBy(fault: DamagedHistoryError): Promise<CommitHeader | undefined> {
    const { actorId, position } = fault;
    const isOfActor = actorId !== undefined && actorId !== NO_ACTOR;
    if (!isStray(fault) || !isOfActor || position === undefined) return undefined;
    const { sequence } = this.#context.decoder.place(position);
    const runs = this.#runs ??= new RecentMap(MAX_RUNS);
    let run = runs.get(actorId);
    if (!run || !isIn(run, sequence)) {
      run = await this.#find(actorId, sequence, run);
      runs.set(actorId, run);
    }
    const repair = repairOf(run);
    const isCovered = repair && repair.previousSequence < sequence && sequence < repair.sequence;
    return isCovered ? repair : undefined;
  }

  /** Whether a repair passes over stray messages alone. The checksum is not secret: a repair may be forged. */
  async isTrue(repair: CommitHeader): Promise<boolean> {
    const { actorId, previousSequence, sequence, passedOver } = repair;
    const { count, next } = await this.#find(actorId, previousSequence + 1);
    const isNext = next !== undefined && !(next instanceof DamagedHistoryError) && next.sequence === sequence;
    return isNext && (count === passedOver || await this.#context.log.mayHaveExpired());
  }

  /**
   * The stray messages of an actor from a sequence on, up to its next commit.
   *
   * @param known Those that were found before; they are not read again.
   */
  async #find(actorId: string, from: number, known?: Run): Promise<Run> {
    const { log, decoder } = this.#context;
    const subject = log.layout.subject(actorId);
    let [lastSequence, count] = [from, 0];
    // Most often a single message is followed by its repair.
    for (let next = from; count < 2;) {
      const message = await log.nextOf(subject, next);
      const commit = message && decoder.read(message);
      if (!message || !isStrayMessage(commit)) return { from, lastSequence, count, next: commit };
      lastSequence = message.sequence;
      if (lastSequence === known?.from) return { ...known, from, count: known.count + count };
      next = lastSequence + 1;
      count++;
    }
    const end = (await log.last(subject))?.sequence ?? 0;
    for await (const commits of scanForward(this.#context, actorId, lastSequence + 1, end)) {
      for (const commit of commits) {
        if (!isStrayMessage(commit)) return { from, lastSequence, count, next: commit };
        lastSequence = decoder.place(commit.position!).sequence;
        count++;
      }
    }
    return { from, lastSequence, count, next: undefined };
  }
}

function isStrayMessage(commit: OrFault<CommitHeader> | undefined): commit is DamagedHistoryError {
  return commit instanceof DamagedHistoryError && isStray(commit);
}

function repairOf({ next }: Run): CommitHeader | undefined {
  return next && !(next instanceof DamagedHistoryError) && next.passedOver > 0 ? next : undefined;
}

/** Whether the search has decided about a sequence. */
function isIn(run: Run, sequence: number): boolean {
  const repair = repairOf(run);
  const from = repair ? repair.previousSequence + 1 : run.from;
  return sequence >= from && sequence <= run.lastSequence;
}
