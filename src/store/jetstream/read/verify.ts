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
import { ActorNumbers, grown } from "./actor_numbers.ts";
import type { EndMark } from "../bucket/end_mark.ts";
import { type JetStreamContext, until } from "../context.ts";
import { NO_ACTOR } from "../format/layout.ts";
import { fetchSkipped } from "./missing.ts";
import type { OrderedConsumer } from "../../../nats/jetstream/ordered_consumer.ts";
import type { StoredCommit } from "../format/commit_header.ts";
import { Repairs } from "./repairs.ts";

/** The last commit of each actor, in typed arrays by the actor's number: a log has any number of actors. */
class FollowedActors {
  readonly #numbers = new ActorNumbers();
  #versions = new Float64Array(this.#numbers.capacity);
  #sequences = new Float64Array(this.#numbers.capacity);
  /** The checksums of trails. */
  #trails = new Uint32Array(this.#numbers.capacity);
  #flags = new Uint8Array(this.#numbers.capacity);
  #withEvents = 0;

  /** How many actors have events. */
  get withEvents(): number {
    return this.#withEvents;
  }

  /** The number of an actor; -1 if none of its commits was read. */
  find(actorId: string): number {
    return this.#numbers.find(actorId);
  }

  /** The version of an actor's last commit. */
  versionOf(actor: number): number {
    return this.#versions[actor]!;
  }

  /** The sequence of an actor's last commit. */
  sequenceOf(actor: number): number {
    return this.#sequences[actor]!;
  }

  /** The checksum of the trail that an actor's next commit must have; `undefined` if it is not known. */
  trailOf(actor: number): number | undefined {
    return (this.#flags[actor]! & HAS_TRAIL) === 0 ? undefined : this.#trails[actor];
  }

  /** Remembers the last commit of an actor. */
  set(commit: StoredCommit, trail: number | undefined): void {
    const actor = this.#numbers.add(commit.actorId);
    const { capacity } = this.#numbers;
    if (capacity > this.#versions.length) {
      this.#versions = grown(this.#versions, capacity);
      this.#sequences = grown(this.#sequences, capacity);
      this.#trails = grown(this.#trails, capacity);
      this.#flags = grown(this.#flags, capacity);
    }
    this.#versions[actor] = lastVersion(commit);
    this.#sequences[actor] = commit.sequence;
    this.#trails[actor] = trail ?? 0;
    const hadEvents = this.#flags[actor]! & HAS_EVENTS;
    const hasEvents = commit.events.length > 0 ? HAS_EVENTS : hadEvents;
    this.#flags[actor] = hasEvents | (trail === undefined ? 0 : HAS_TRAIL);
    if (hasEvents !== hadEvents) this.#withEvents++;
  }
}

/** Whether the checksum of an actor's trail is known, and whether the actor has events. */
const HAS_TRAIL = 1;
const HAS_EVENTS = 2;

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
  readonly #actors = new FollowedActors();
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
    // Everything that this store has seen must be stored, unless it has expired.
    const seen = log.highest;
    const last = await log.last();
    const first = await log.first();
    this.#firstSequence = first?.sequence ?? Infinity;
    if (first && first.sequence > 1 && !await log.mayHaveExpired()) this.#gap(1, first.sequence);
    const end = last?.sequence ?? (await log.info()).state.last_seq;
    if (first) await this.#read(first.sequence, end);
    if (end < seen && (last || !await log.mayHaveExpired())) {
      this.#faults.push(
        new DamagedHistoryError("the log ends before a commit that this store has seen", {
          position: this.#context.decoder.placeOf(seen, undefined),
        }),
      );
    }
    const lost = await this.#endMark.find(this.#options.signal);
    if (lost) {
      const position = this.#context.decoder.placeOf(lost.marked, undefined);
      this.#faults.push(new DamagedHistoryError(lost.error.message, { position }));
    }
    for (const [actorId, head] of this.#context.heads.entries()) {
      if (head.sequence > Math.max(end, seen)) continue; // saved meanwhile
      const actor = this.#actors.find(actorId);
      const reached = actor < 0 ? 0 : this.#actors.versionOf(actor);
      const expired = log.config.expires && head.sequence < this.#firstSequence;
      if (reached < head.version && !expired) this.#faults.push(lostTail(actorId, reached, head.version));
    }
    return {
      commits: this.#commits,
      events: this.#events,
      actors: this.#actors.withEvents,
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
            await this.#skip(consumer, sequence + 1, Math.min(delivery.sequence, to + 1));
          }
          ({ sequence } = delivery);
          if (sequence > to) break;
          const commit = decoder.read(delivery);
          if (commit instanceof DamagedHistoryError) await this.#report(commit);
          else this.#take(commit);
        }
        // The last ones cannot be read, or they have expired in the meantime.
        if (sequence < to && consumer.position >= to) {
          await this.#skip(consumer, sequence + 1, to + 1);
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

  /** Reads from the leader the messages that the consumer skipped. */
  async #skip({ server }: OrderedConsumer, from: number, end: number): Promise<void> {
    const { log, decoder } = this.#context;
    const expires = await log.mayHaveExpired();
    if (expires) this.#firstSequence = await log.firstSequence();
    const kept = expires ? Math.max(from, Math.min(end, this.#firstSequence)) : from;
    for await (const found of fetchSkipped(log, kept, end)) {
      if ("count" in found) this.#gap(found.from, found.from + found.count);
      else {
        log.replicas.noteDamaged(server, found.sequence);
        const commit = decoder.read(found);
        if (commit instanceof DamagedHistoryError) await this.#report(commit);
        else this.#take(commit);
      }
    }
  }

  #accept(commit: StoredCommit): void {
    const { actorId, sequence, previousSequence, events, trail } = commit;
    const actor = this.#actors.find(actorId);
    const known = actor >= 0;
    const fault = known ? follows(commit, this.#actors.versionOf(actor)) : this.#begins(commit);
    if (fault) this.#faults.push(fault);
    else if (known && previousSequence !== this.#actors.sequenceOf(actor) && previousSequence !== 0) {
      const followed = this.#actors.sequenceOf(actor);
      this.#fault(commit, `it was stored behind sequence ${previousSequence}, and follows ${followed}`);
    } else if (!trail || !this.#continues(trail, actor)) {
      this.#fault(commit, "its trail does not lead to the commits before it; they are searched for instead");
    }
    this.#events += events.length;
    this.#lastPosition = events.at(-1)?.position ?? this.#lastPosition;
    this.#actors.set(commit, trail && this.#trailChecksum(trail.after(sequence)));
  }

  /** The first commit of an actor that is kept. */
  #begins(commit: StoredCommit): DamagedHistoryError | undefined {
    const { previousSequence } = commit;
    if (this.#context.log.config.expires && previousSequence < this.#firstSequence) return undefined;
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

  /** Whether a trail continues that of the actor's last commit, as far as it is known. */
  #continues(trail: NonNullable<StoredCommit["trail"]>, actor: number): boolean {
    const expected = actor < 0 ? undefined : this.#actors.trailOf(actor);
    return expected === undefined || this.#trailChecksum(trail) === expected;
  }

  #trailChecksum(trail: NonNullable<StoredCommit["trail"]>): number {
    return this.#context.checksum(utf8(trail.encode()));
  }
}
