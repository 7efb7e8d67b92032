/**
 * Holds what processes were told against what is stored at the end. Nothing here asks a store.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import type { Attempt, DamagedPlace, History, KnownEvent, Span } from "./history.ts";
import { checkReadings } from "./reader_checker.ts";

/** What can be wrong. */
export type Fault =
  | "acknowledged event lost"
  | "event stored twice"
  | "event changed"
  | "event from nowhere"
  | "stored though refused"
  | "conflict with oneself"
  | "conflict without a cause"
  | "unknown though it could be settled"
  | "refused though it could be stored"
  | "commit torn apart"
  | "expectation broken"
  | "condition broken"
  | "acknowledged for a replaced log"
  | "versions out of order"
  | "stored in the wrong order"
  | "stale read"
  | "reader has a gap"
  | "reader has a duplicate"
  | "reader has another order"
  | "reader has what is not stored"
  | "reader stopped short"
  | "damage without a cause";

/** Something that is wrong. */
export interface Violation {
  readonly fault: Fault;
  readonly what: unknown;
}

/** A version of an actor, and when it can have been the latest one. */
interface Reign {
  readonly version: number;
  readonly id: string;
  /** It was not stored before its save began ... */
  readonly from: number;
  /** ... and the next one stood there at the latest when its save was answered. */
  readonly to: number;
}

/** What a history shows that must not be. Empty is as it should be. */
export function checkHistory(history: History): Violation[] {
  return new Checker(history).run();
}

/** What attempts on a log that was replaced show that must not be: after that moment nothing may be acknowledged for it. */
export function checkReplaced(attempts: readonly Attempt[], replacedAt: number): Violation[] {
  const late = attempts.filter(({ begun, answer }) => begun > replacedAt && answer?.kind === "stored");
  return late.map((what) => ({ fault: "acknowledged for a replaced log", what }));
}

class Checker {
  readonly #history: History;
  readonly #violations: Violation[] = [];
  /** The stored events by id. */
  readonly #stored = new Map<string, KnownEvent>();
  readonly #places = new Map<string, number>();
  /** The attempts that had an event, by its id, in the order in which they began. */
  readonly #attempts = new Map<string, Attempt[]>();
  readonly #reigns = new Map<string, Reign[]>();

  constructor(history: History) {
    this.#history = history;
  }

  run(): Violation[] {
    const { attempts, log } = this.#history;
    for (const attempt of attempts.toSorted((a, b) => a.begun - b.begun)) {
      for (const { id } of attempt.events) {
        const known = this.#attempts.get(id);
        if (known) known.push(attempt);
        else this.#attempts.set(id, [attempt]);
      }
    }
    this.#checkLog(log);
    for (const attempt of attempts) {
      this.#checkWhole(attempt);
      this.#checkConditions(attempt);
      this.#checkAnswer(attempt);
    }
    this.#checkTime();
    this.#checkLooks();
    for (const report of this.#history.reports ?? []) this.#checkDamage(report, report.at, report);
    for (const [fault, what] of checkReadings(this.#history, this.#places)) this.#fail(fault, what);
    return this.#violations;
  }

  #fail(fault: Fault, what: unknown): void {
    this.#violations.push({ fault, what });
  }

  /** Every event is one that somebody tried to store, unchanged and once; versions rise. */
  #checkLog(log: readonly KnownEvent[]): void {
    const latest = new Map<string, KnownEvent>();
    for (const [place, event] of log.entries()) {
      this.#places.set(event.position, place);
      const first = this.#stored.get(event.id);
      if (first) {
        this.#fail("event stored twice", [first, event]);
        continue;
      }
      this.#stored.set(event.id, event);
      const tries = this.#attempts.get(event.id);
      if (!tries) {
        this.#fail("event from nowhere", event);
        continue;
      }
      const { actorId, version } = event;
      const before = latest.get(actorId);
      if (before && version <= before.version) this.#fail("versions out of order", [before, event]);
      latest.set(actorId, event);
      if (!tries.some((attempt) => this.#couldStore(attempt, event))) this.#fail("event changed", event);
      const reigns = this.#reigns.get(actorId) ?? [];
      const last = reigns.at(-1);
      if (last) reigns[reigns.length - 1] = { ...last, to: this.#stands(event) };
      reigns.push({ version, id: event.id, from: tries[0]!.begun, to: Infinity });
      this.#reigns.set(actorId, reigns);
    }
  }

  #couldStore({ events }: Attempt, { actorId, id, eventType, data, version }: KnownEvent): boolean {
    const tried = events.find((event) => event.id === id)!;
    return tried.actorId === actorId && tried.eventType === eventType &&
      isDeepStrictEqual(tried.data, data) &&
      (tried.version === undefined || tried.version === version);
  }

  /** A commit is stored whole, in one piece, behind the version that it expected. */
  #checkWhole(attempt: Attempt): void {
    const { events, how, expected } = attempt;
    const stored = events.map(({ id }) => this.#stored.get(id));
    if (stored.every((event) => event === undefined)) return;
    const places = stored.map((event) => event ? this.#places.get(event.position)! : NaN);
    // A batch stands grouped by actor, in the order of first appearance, which the writers keep.
    if (places.some((place, index) => place !== places[0]! + index)) {
      this.#fail("commit torn apart", { attempt, stored });
      return;
    }
    if (how !== "append") return;
    const [first] = stored;
    const { actorId } = first!;
    const reigns = this.#reigns.get(actorId)!;
    const index = reigns.findIndex(({ id }) => id === first!.id);
    const before = reigns[index - 1]?.version ?? 0;
    const contiguous = stored.every((event, place) => event!.version === before + 1 + place);
    // A repetition may have another expectation, and is told of a conflict then.
    const counts = attempt.answer?.kind === "stored" || this.#attempts.get(first!.id)!.length === 1;
    if (!contiguous || (counts && typeof expected === "number" && expected !== before)) {
      this.#fail("expectation broken", { attempt, stored, before });
    }
  }

  /** What is stored under conditions is behind exactly the versions that they name, as if nothing came between. */
  #checkConditions(attempt: Attempt): void {
    const place = this.#placeOf(attempt);
    if (place === undefined) return;
    for (const { actorId, version } of attempt.conditions ?? []) {
      const before = this.#history.log.slice(0, place).findLast((event) => event.actorId === actorId);
      if ((before?.version ?? 0) !== version) this.#fail("condition broken", { attempt, before });
    }
  }

  #checkAnswer(attempt: Attempt): void {
    const { answer } = attempt;
    switch (answer?.kind) {
      case "stored":
        return this.#checkStored(attempt, answer.events);
      case "conflict":
        this.#checkNothingStored(attempt, answer.sameEvent);
        return this.#checkConflict(attempt, answer);
      case "refused":
        this.#checkNothingStored(attempt, false);
        if (!this.#hadToGiveUp(attempt)) this.#fail("refused though it could be stored", attempt);
        return;
      case "damaged":
        this.#checkNothingStored(attempt, false);
        return this.#checkDamage(answer.damage, attempt.ended, attempt);
      case "unknown":
        if (answer.damage) return this.#checkDamage(answer.damage, attempt.ended, attempt);
        if (!this.#hadToGiveUp(attempt)) this.#fail("unknown though it could be settled", attempt);
    }
  }

  #checkStored(attempt: Attempt, events: readonly KnownEvent[]): void {
    const asked = attempt.events.map(({ id }) => id);
    if (!isDeepStrictEqual(asked, events.map(({ id }) => id))) this.#fail("event changed", attempt);
    for (const event of events) {
      const stored = this.#stored.get(event.id);
      if (!stored) this.#fail("acknowledged event lost", { event, attempt });
      else if (!isDeepStrictEqual(stored, event)) this.#fail("event changed", { stored, event });
    }
  }

  /** What was refused is not stored, unless another attempt with the same events stored it. */
  #checkNothingStored(attempt: Attempt, sameEvent: boolean): void {
    for (const { id } of attempt.events) {
      const stored = this.#stored.get(id);
      if (!stored) continue;
      const others = this.#attempts.get(id)!.filter((other) => other !== attempt);
      const other = others.some(({ answer, begun }) => answer?.kind !== "conflict" && begun < attempt.ended);
      if (!other) {
        this.#fail(sameEvent ? "conflict with oneself" : "stored though refused", { attempt, stored });
      }
    }
  }

  /** Another's event must have been the latest at some moment of the call, at another version than was expected. */
  #checkConflict(attempt: Attempt, answer: Extract<Attempt["answer"], { kind: "conflict" }>): void {
    const { actorId, currentVersion, attemptedVersion, isCondition } = answer;
    const own = new Set(attempt.events.map(({ id }) => id));
    if (typeof attempt.expected === "number") {
      const first = this.#stored.get(attempt.events[0]!.id);
      // It stands where it was to stand: nobody else can have been there.
      if (first?.version === attempt.expected + 1) return this.#fail("conflict with oneself", attempt);
    }
    const firstTime = attempt.events.every(({ id }) => this.#attempts.get(id)![0] === attempt);
    const reigns = this.#reigns.get(actorId) ?? [];
    const cause = reigns.find(({ version }) => version === currentVersion);
    if (firstTime && cause && own.has(cause.id)) {
      return this.#fail("conflict with oneself", attempt);
    }
    const wasLatest = cause
      ? cause.from <= attempt.ended && cause.to >= attempt.begun
      : currentVersion === 0 && (reigns.length === 0 || this.#stands(reigns[0]!) >= attempt.begun);
    const refuses = isCondition
      ? attempt.conditions?.some((condition) =>
        condition.actorId === actorId && condition.version !== currentVersion
      )
      : currentVersion >= attemptedVersion ||
        (attempt.how === "append" && attempt.expected !== currentVersion);
    if (refuses && wasLatest) return;
    if (refuses && this.#during(this.#history.stale, attempt.begun, attempt.ended)) return;
    this.#fail("conflict without a cause", { attempt, reigns: reigns.slice(-5) });
  }

  /** When an event stood there at the latest. */
  #stands({ id }: { readonly id: string }): number {
    const tries = this.#attempts.get(id)!;
    return Math.min(...tries.map(({ ended, answer }) => answer?.kind === "stored" ? ended : Infinity));
  }

  /** A save may be given up only when its time is over, and nobody could be reached then. */
  #hadToGiveUp({ begun, ended, timeout }: Attempt): boolean {
    return ended - begun >= timeout * 0.9 &&
      this.#during(this.#history.outages, begun + timeout * 0.5, ended);
  }

  /** Only the commit that was damaged may be reported as damaged, and only after that. */
  #checkDamage({ actorId, position }: DamagedPlace, at: number, what: unknown): void {
    const isTrue = (this.#history.damaged ?? []).some(({ id, from }) => {
      const commit = this.#attempts.get(id)?.flatMap(({ events }) => events) ?? [];
      return from <= at &&
        commit.some((event) =>
          actorId === undefined
            ? sequenceOf(this.#stored.get(event.id)?.position) === sequenceOf(position)
            : event.actorId === actorId
        );
    });
    if (!isTrue) this.#fail("damage without a cause", what);
  }

  #during(spans: readonly Span[], from: number, to: number): boolean {
    return spans.some((span) => span.from <= to && span.to >= from);
  }

  /** What was answered before another save began stands before it. */
  #checkTime(): void {
    const { attempts } = this.#history;
    const isFirst = (attempt: Attempt): boolean =>
      attempt.events.every(({ id }) => this.#attempts.get(id)![0] === attempt);
    const done = attempts.filter(({ answer }) => answer?.kind === "stored").toSorted((a, b) =>
      a.ended - b.ended
    );
    let next = 0;
    let furthest: { place: number; attempt: Attempt } | undefined;
    for (const attempt of attempts.toSorted((a, b) => a.begun - b.begun)) {
      for (; next < done.length && done[next]!.ended < attempt.begun; next++) {
        const place = this.#placeOf(done[next]!);
        if (place !== undefined && place > (furthest?.place ?? -1)) {
          furthest = { place, attempt: done[next]! };
        }
      }
      const place = this.#placeOf(attempt);
      if (place === undefined || !furthest || !isFirst(attempt)) continue;
      if (place < furthest.place) this.#fail("stored in the wrong order", [furthest.attempt, attempt]);
    }
  }

  #placeOf({ events }: Attempt): number | undefined {
    const stored = this.#stored.get(events[0]!.id);
    return stored && this.#places.get(stored.position);
  }

  /** A look shows a version that was the latest at some moment of it. */
  #checkLooks(): void {
    for (const look of this.#history.looks) {
      const { actorId, latestVersion, begun, ended } = look;
      const reigns = this.#reigns.get(actorId) ?? [];
      const seen = reigns.find(({ version }) => version === latestVersion);
      const holds = latestVersion === 0
        ? reigns.length === 0 || this.#stands(reigns[0]!) >= begun
        : seen && seen.from <= ended && seen.to >= begun;
      if (holds || this.#during(this.#history.stale, begun, ended)) continue;
      this.#fail("stale read", { look, reigns: reigns.slice(-5) });
    }
  }
}

/** The part of a position that names the message. The rest of it is unknown if the message cannot be read. */
function sequenceOf(position: string | undefined): string | undefined {
  return position?.slice(0, -(4 + 8));
}
