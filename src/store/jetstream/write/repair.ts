/**
 * Repairing an actor whose subject has messages of other programs behind its last commit: every save expects the last
 * sequence of a commit, and the server refuses it.
 *
 * @module
 */

import { backoff, sleep } from "../../../sleep.ts";
import { checkFence } from "../../commit.ts";
import { BackendError, DamagedHistoryError } from "../../errors.ts";
import type { SaveOptions } from "../../types.ts";
import { backendError, failureOf } from "../failures.ts";
import { FIRST_WAIT, LONGEST_WAIT } from "../../../nats/patience.ts";
import { isConflict, isMomentary } from "../../../nats/jetstream/error_codes.ts";
import type { CommitEncoder } from "../format/commit_encoder.ts";
import { type JetStreamContext, until } from "../context.ts";
import { isStray } from "../format/commit_decoder.ts";
import type { StoredCommit } from "../format/commit_header.ts";
import { assertFormat } from "../format/stream_config.ts";
import type { Publisher } from "../../../nats/jetstream/publisher.ts";
import { CommittedHead, type Head } from "./head.ts";

/**
 * What `repairActor` takes.
 *
 * @category Stores
 */
export interface RepairOptions extends Pick<SaveOptions, "fencingToken" | "unfenced"> {
  /** Ends the repair with the signal's reason. It may be stored all the same: the next call reports that. */
  readonly signal?: AbortSignal;
}

/**
 * What a repair has done.
 *
 * @category Stores
 */
export interface RepairResult {
  /** The actor. */
  readonly actorId: string;
  /** The version of its latest event, which the next append follows; 0 without one. */
  readonly version: number;
  /** The positions of the messages that are passed over from now on; empty if there was nothing to repair. */
  readonly skipped: readonly string[];
}

/** What a repair is written with. */
export interface RepairSetup {
  /** Writes messages. */
  readonly encoder: CommitEncoder;
  /** Sends. */
  readonly publisher: Publisher;
  /** How long it may take, in milliseconds. */
  readonly timeout: number;
}

/** What is stored behind an actor's last commit. */
interface Ending {
  /** The commit; `undefined` if none is left. */
  readonly last: StoredCommit | undefined;
  /** The sequences of the stray messages behind it. */
  readonly strays: readonly number[];
}

/** How often the messages are counted again if some have expired meanwhile. */
const MAX_COUNTS = 5;
/** How soon the server reports that it has delivered all it can, in milliseconds. */
const HEARTBEAT = 100;

/** Passes over the messages of other programs that an actor's history ends with. */
export async function repairActor(
  context: JetStreamContext,
  setup: RepairSetup,
  actorId: string,
  options: RepairOptions,
): Promise<RepairResult> {
  return await new Repair(until(context, options.signal), setup, actorId, options).run();
}

class Repair {
  readonly #context: JetStreamContext;
  readonly #setup: RepairSetup;
  readonly #actorId: string;
  readonly #subject: string;
  readonly #options: RepairOptions;
  readonly #id = crypto.randomUUID().replaceAll("-", "");

  constructor(context: JetStreamContext, setup: RepairSetup, actorId: string, options: RepairOptions) {
    this.#context = context;
    this.#setup = setup;
    this.#actorId = actorId;
    this.#subject = context.log.layout.subject(actorId);
    this.#options = options;
  }

  async run(): Promise<RepairResult> {
    const { log, decoder } = this.#context;
    const deadline = performance.now() + this.#setup.timeout;
    assertFormat((await log.info()).config);
    for (let attempt = 1;; attempt++) {
      const { ending: { strays }, head } = await this.#survey();
      if (strays.length === 0) return { actorId: this.#actorId, version: head.version, skipped: [] };
      const failure = await this.#try(head, strays);
      if (failure === undefined) {
        const skipped = strays.map((sequence) => decoder.placeOf(sequence, undefined));
        return { actorId: this.#actorId, version: head.version, skipped };
      }
      if (performance.now() > deadline) throw backendError("repairActor", failure);
      await sleep(backoff(attempt, FIRST_WAIT, LONGEST_WAIT), this.#options.signal);
    }
  }

  /** Stores the repair; returns why it was not stored, if it may be tried again. */
  async #try(head: Head, strays: readonly number[]): Promise<Error | undefined> {
    const { encoder, publisher } = this.#setup;
    const { fencingToken, unfenced = false, signal } = this.#options;
    const { trail, version } = head;
    const fence = checkFence(this.#actorId, head.fence, { fencingToken, unfenced });
    const lastSequence = strays.at(-1)!;
    const message = encoder.encodeRepair(this.#subject, {
      commitId: this.#id,
      previousVersion: version,
      fence,
      unfenced: fencingToken === undefined,
      previousSequence: head.sequence,
      trail,
    }, { lastSequence, count: strays.length });
    const outcome = await publisher.publish(message, { ...(signal && { signal }) });
    let sequence = outcome.status === "stored" ? outcome.sequence : 0;
    if (outcome.status === "unknown") await this.#context.log.assertNotReplaced();
    if (outcome.status !== "stored") {
      sequence = await this.#findOwn(lastSequence);
      if (sequence === 0) return this.#failureOf(outcome);
    }
    this.#keep(new CommittedHead(version, fence, sequence, trail));
    return undefined;
  }

  #failureOf(outcome: Parameters<typeof failureOf>[1]): Error {
    const failure = failureOf(this.#subject, outcome);
    if (outcome.status !== "refused") return failure;
    if (isConflict(outcome.code)) {
      return new BackendError("repairActor", "other programs published to the actor meanwhile: try again");
    }
    if (!isMomentary(outcome.code)) throw failure;
    return failure;
  }

  /** The sequence of this repair, if it is stored; else 0. */
  async #findOwn(lastSequence: number): Promise<number> {
    const { log, decoder } = this.#context;
    const message = await log.nextOf(this.#subject, lastSequence + 1);
    const header = message && decoder.header(message);
    if (!header || header instanceof DamagedHistoryError || header.commitId !== this.#id) return 0;
    return header.sequence;
  }

  #keep(head: Head): void {
    const { heads } = this.#context;
    const cached = heads.cached(this.#actorId);
    if (!cached || cached.sequence < head.sequence) heads.set(this.#actorId, head);
  }

  /** What the actor's history ends with, and the head before that. */
  async #survey(): Promise<{ readonly ending: Ending; readonly head: Head }> {
    const { log, heads } = this.#context;
    const { ending, head, fault } = await log.upToDate(async () => {
      const known = heads.cached(this.#actorId);
      const ending = await this.#ending();
      return { ending, ...await heads.after(log, this.#actorId, ending.last, known) };
    }, ({ fault }) => fault !== undefined);
    if (fault) throw fault;
    return { ending, head };
  }

  async #ending(): Promise<Ending> {
    const { log, decoder } = this.#context;
    const latest = await log.lastOf(this.#subject);
    const commit = latest && decoder.read(latest);
    if (!latest || !commit) return { last: undefined, strays: [] };
    if (!(commit instanceof DamagedHistoryError)) return { last: commit, strays: [] };
    if (!isStray(commit)) throw commit;
    let from = 1;
    let start = log.config.expires ? await log.firstSequence() : 1;
    for (let attempt = 1;; attempt++) {
      const { leftOut, ...ending } = await this.#scan(from, latest.sequence);
      if (leftOut === 0) return ending;
      const begin = ending.last?.sequence ?? 1;
      const first = log.config.expires ? await log.firstSequence() : 1;
      // Only what is behind the last commit counts, and it may have expired.
      const isAgain = begin > from || first > start;
      if (!isAgain || attempt === MAX_COUNTS) throw this.#unreadable(leftOut);
      [from, start] = [begin, first];
    }
  }

  /** Reads the actor's messages from a sequence up to another one, and counts what the server cannot read. */
  async #scan(from: number, to: number): Promise<Ending & { readonly leftOut: number }> {
    const { log, decoder } = this.#context;
    const consumer = log.consumer({
      startSequence: from,
      filterSubjects: [this.#subject],
      reportProgress: true,
      endSequence: to,
      heartbeat: HEARTBEAT,
    });
    let last: StoredCommit | undefined;
    let damaged: DamagedHistoryError | undefined;
    let strays: number[] = [];
    let delivered = 0;
    try {
      for (let reached = 0; reached < to || (delivered < consumer.expected && consumer.pending > 0);) {
        const messages = await consumer.read();
        delivered += messages.length;
        for (const message of messages) {
          reached = message.sequence;
          if (reached > to) break;
          const commit = decoder.read(message);
          if (!(commit instanceof DamagedHistoryError)) [last, strays, damaged] = [commit, [], undefined];
          else if (isStray(commit)) strays.push(reached);
          else damaged ??= commit;
        }
        if (messages.length === 0 && consumer.position >= to) break;
      }
      if (damaged) throw damaged;
      return { last, strays, leftOut: consumer.leftOut };
    } finally {
      consumer.close();
    }
  }

  #unreadable(count: number): DamagedHistoryError {
    const reason = `the server counts ${count} message(s) behind its last commit that it cannot read`;
    return new DamagedHistoryError(reason, { actorId: this.#actorId });
  }
}
