/**
 * Checking everything that is stored in a namespace's stream.
 *
 * @module
 */

import { utf8 } from "../../../text.ts";
import type { Verified } from "../../backend.ts";
import { follows, lastVersion, lostTail } from "../../continuity.ts";
import { DamagedHistoryError, type HistoryFault } from "../../errors.ts";
import type { VerifyOptions } from "../../types.ts";
import type { EndMark } from "../bucket/end_mark.ts";
import { type JetStreamContext, until } from "../context.ts";
import { NO_ACTOR } from "../format/layout.ts";
import { fetchSkipped } from "./missing.ts";
import type { StoredCommit } from "../format/commit_decoder.ts";
import { Repairs } from "./repairs.ts";

/** What is kept in mind of an actor: its last commit, and the checksum of the trail that the next one must have. */
interface Followed {
  readonly version: number;
  readonly sequence: number;
  readonly trail: number | undefined;
  readonly hasEvents: boolean;
}

/** Reads the whole log up to its present end: sequences, checksums, chains, and trails. */
export async function verifyLog(
  context: JetStreamContext,
  endMark: EndMark,
  options: VerifyOptions,
): Promise<Verified> {
  return await new Verification(context, endMark, options).run();
}

class Verification {
  readonly #context: JetStreamContext;
  readonly #endMark: EndMark;
  readonly #options: VerifyOptions;
  readonly #faults: HistoryFault[] = [];
  readonly #repaired: DamagedHistoryError[] = [];
  readonly #repairs: Repairs;
  readonly #actors = new Map<string, Followed>();
  #commits = 0;
  #events = 0;
  #firstSequence = 1;
  #lastPosition: string | undefined;

  constructor(context: JetStreamContext, endMark: EndMark, options: VerifyOptions) {
    this.#context = until(context, options.signal);
    this.#repairs = new Repairs(this.#context);
    this.#endMark = endMark;
    this.#options = options;
  }

  async run(): Promise<Verified> {
    const { log } = this.#context;
    // What this store has seen before must be there, but for what expires.
    const seen = { highest: log.highest, heads: [...this.#context.heads.entries()] };
    const last = await log.last();
    const first = await log.first();
    this.#firstSequence = first?.sequence ?? Infinity;
    if (first && first.sequence > 1 && !log.expires) this.#gap(1, first.sequence);
    const end = last?.sequence ?? (await log.info()).state.last_seq;
    if (first) await this.#read(first.sequence, end);
    if (end < seen.highest && !(log.expires && !last)) {
      this.#faults.push(
        new DamagedHistoryError("the log ends before a commit that this store has seen", {
          position: this.#context.decoder.placeOf(seen.highest, undefined),
        }),
      );
    }
    const lost = await this.#endMark.find(this.#options.signal);
    if (lost) {
      const position = this.#context.decoder.placeOf(lost.markedSequence, undefined);
      this.#faults.push(new DamagedHistoryError(lost.message, { position }));
    }
    for (const [actorId, head] of seen.heads) {
      const reached = this.#actors.get(actorId)?.version ?? 0;
      const expired = log.expires && head.sequence < this.#firstSequence;
      if (reached < head.version && !expired) this.#faults.push(lostTail(actorId, reached, head.version));
    }
    let actors = 0;
    for (const { hasEvents } of this.#actors.values()) if (hasEvents) actors++;
    return {
      commits: this.#commits,
      events: this.#events,
      actors,
      lastPosition: this.#lastPosition,
      faults: this.#faults,
      repaired: this.#repaired,
    };
  }

  async #read(from: number, to: number): Promise<void> {
    const { log, decoder } = this.#context;
    const { signal, onProgress } = this.#options;
    const consumer = log.consumer({ startSequence: from, reportProgress: true, endSequence: to });
    try {
      for (let sequence = from - 1; sequence < to;) {
        const deliveries = await consumer.read();
        for (const delivery of deliveries) {
          if (delivery.sequence !== sequence + 1) {
            await this.#skip(sequence + 1, Math.min(delivery.sequence, to + 1));
          }
          ({ sequence } = delivery);
          if (sequence > to) break;
          const commit = decoder.read(delivery);
          if (commit instanceof DamagedHistoryError) await this.#report(commit);
          else this.#take(commit);
        }
        // The last ones cannot be read, or have expired meanwhile.
        if (sequence < to && consumer.position >= to) {
          await this.#skip(sequence + 1, to + 1);
          sequence = to;
        }
        signal?.throwIfAborted();
        onProgress?.({ commits: this.#commits, events: this.#events });
      }
    } finally {
      consumer.close();
    }
  }

  #take(commit: StoredCommit): void {
    if (commit.actorId === NO_ACTOR) return;
    this.#commits++;
    this.#accept(commit);
  }

  async #report(fault: DamagedHistoryError): Promise<void> {
    if (await this.#repairs.covers(fault)) {
      this.#repaired.push(fault);
      return;
    }
    this.#commits++;
    this.#faults.push(fault);
  }

  /** Takes what the leader has of messages that the consumer skipped. */
  async #skip(from: number, end: number): Promise<void> {
    const { log, decoder } = this.#context;
    if (log.expires) this.#firstSequence = await log.firstSequence();
    const kept = log.expires ? Math.max(from, Math.min(end, this.#firstSequence)) : from;
    for await (const found of fetchSkipped(log, kept, end)) {
      if ("count" in found) this.#gap(found.from, found.from + found.count);
      else {
        log.noteSkipped(found.sequence);
        const commit = decoder.read(found);
        if (commit instanceof DamagedHistoryError) await this.#report(commit);
        else this.#take(commit);
      }
    }
  }

  #accept(commit: StoredCommit): void {
    const { actorId, sequence, previousSequence, events, trail } = commit;
    const known = this.#actors.get(actorId);
    const fault = known ? follows(commit, known.version) : this.#begins(commit);
    if (fault) this.#faults.push(fault);
    else if (known && previousSequence !== known.sequence && previousSequence !== 0) {
      this.#fault(commit, `it was stored behind sequence ${previousSequence}, and follows ${known.sequence}`);
    } else if (!trail || (known?.trail !== undefined && this.#trailChecksum(trail) !== known.trail)) {
      this.#fault(commit, "its trail does not lead to the commits before it; they are searched for instead");
    }
    this.#events += events.length;
    this.#lastPosition = events.at(-1)?.position ?? this.#lastPosition;
    this.#actors.set(actorId, {
      version: lastVersion(commit),
      sequence,
      trail: trail && this.#trailChecksum(trail.after(sequence)),
      hasEvents: events.length > 0 || known?.hasEvents === true,
    });
  }

  /** The first commit of an actor that is kept. */
  #begins(commit: StoredCommit): DamagedHistoryError | undefined {
    const { previousSequence } = commit;
    if (this.#context.log.expires && previousSequence < this.#firstSequence) return undefined;
    return follows(commit, 0);
  }

  #fault({ actorId, previousVersion, events }: StoredCommit, reason: string): void {
    const place = { actorId, version: previousVersion + 1, position: events[0]?.position };
    this.#faults.push(new DamagedHistoryError(reason, place));
  }

  #gap(from: number, to: number): void {
    const { decoder } = this.#context;
    this.#faults.push(
      new DamagedHistoryError(`${to - from} commit(s) are missing from the log`, {
        position: decoder.placeOf(from, undefined),
      }),
    );
  }

  #trailChecksum(trail: NonNullable<StoredCommit["trail"]>): number {
    return this.#context.checksum(utf8(trail.encode()));
  }
}
