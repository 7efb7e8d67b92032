/**
 * Commits before they are stored: parts, one an actor, and their numbering against the actor's head.
 *
 * @module
 */

import { encodeEvent } from "../event/codec.ts";
import type { Draft } from "../event/draft.ts";
import { InvalidEventError } from "../event/errors.ts";
import { utf8Length } from "../text.ts";
import type { Event } from "../event/types.ts";
import { listOf } from "../short_lived.ts";
import { CommitTooLargeError, FencedError, OutcomeUnknownError, VersionConflictError } from "./errors.ts";
import type { CommitCondition, ExpectedVersion, StoreLimits } from "./types.ts";

/** No conditions. */
export const NO_CONDITIONS: readonly CommitCondition[] = Object.freeze([]);

/** One actor's part of a commit. */
export class CommitPart {
  /** The actor. */
  readonly actorId: string;
  /** Its events, at least one. */
  readonly drafts: readonly Draft[];
  /** What is required of the actor; or `"given"`: the events carry their versions. */
  readonly expected: ExpectedVersion | "given";
  /** The version that a condition of the commit requires of the actor as well. */
  readonly required: number | undefined;
  /** A token of its own, in place of the commit's: one import stores what several owners have written. */
  readonly fencingToken: number | undefined;

  /** Takes over what it is made of. */
  constructor(
    actorId: string,
    drafts: readonly Draft[],
    expected: ExpectedVersion | "given",
    required?: number,
    fencingToken?: number,
  ) {
    this.actorId = actorId;
    this.drafts = drafts;
    this.expected = expected;
    this.required = required;
    this.fencingToken = fencingToken;
  }
}

/** The token that a part of a commit is stored under. */
export function tokenOf(part: CommitPart, commit: Commit): number | undefined {
  return part.fencingToken ?? commit.fencingToken;
}

/** What is stored whole or not at all. */
export class Commit {
  /** Its parts, each of another actor. */
  readonly parts: readonly CommitPart[];
  /** The token it is stored under. */
  readonly fencingToken: number | undefined;
  /** Whether it may go without a token. */
  readonly unfenced: boolean;
  /** Counts until the commit is sent. */
  readonly signal: AbortSignal | undefined;
  /** The actors that it depends on and does not write, each once, and the versions that they must be at. */
  readonly conditions: readonly CommitCondition[];

  /** Takes over what it is made of. */
  constructor(
    parts: readonly CommitPart[],
    fencingToken: number | undefined,
    unfenced: boolean,
    signal: AbortSignal | undefined,
    conditions: readonly CommitCondition[],
  ) {
    this.parts = parts;
    this.fencingToken = fencingToken;
    this.unfenced = unfenced;
    this.signal = signal;
    this.conditions = conditions;
  }
}

/** How far an actor is. */
export interface ActorHead {
  /** The version of its latest event, 0 without one. */
  readonly version: number;
  /** The newest fencing token stored for it, 0 without one. */
  readonly fence: number;
}

/** The head of an actor that was never heard of. */
export const NEW_ACTOR: ActorHead = { version: 0, fence: 0 };

/**
 * Numbers a part's events against its actor's head, as often as the head turns out to be another.
 *
 * @returns The newest token of the actor once the part is stored.
 * @throws {FencedError} If the actor has a newer token.
 * @throws {VersionConflictError} If the actor is not where the part expects it.
 * @throws {InvalidEventError} If an event has another version than it gets.
 */
export function numberPart(part: CommitPart, head: ActorHead, commit: Commit): number {
  const { actorId, drafts, expected, required } = part;
  const { fencingToken } = part;
  const terms = fencingToken === undefined ? commit : { fencingToken, unfenced: false };
  const fence = checkFence(actorId, head.fence, terms);
  if (required !== undefined) checkCondition({ actorId, version: required }, head);
  if (expected === "given") {
    const attemptedVersion = drafts[0]!.givenVersion!;
    if (attemptedVersion <= head.version) {
      throw new VersionConflictError({ actorId, attemptedVersion, currentVersion: head.version });
    }
    for (const { event, givenVersion } of drafts) event.version = givenVersion!;
    return fence;
  }
  checkExpected(actorId, expected, head);
  let version = head.version;
  if (version + drafts.length > Number.MAX_SAFE_INTEGER) {
    throw new InvalidEventError("version", "would be over 2^53 - 1", { actorId, version });
  }
  for (const { event, givenVersion } of drafts) {
    event.version = ++version;
    if (givenVersion !== undefined && givenVersion !== version) {
      throw new InvalidEventError(
        "version",
        `is ${givenVersion}, and append gives it ${version}: leave it out`,
        event,
      );
    }
  }
  return fence;
}

/**
 * Checks what an append requires of its actor against the actor's head.
 *
 * @throws {VersionConflictError} If the actor is elsewhere.
 */
export function checkExpected(
  actorId: string,
  expected: ExpectedVersion,
  head: Pick<ActorHead, "version">,
): void {
  if (expected === "any" || expected === head.version || (expected === "exists" && head.version > 0)) return;
  const attemptedVersion = expected === "exists" ? 1 : expected + 1;
  throw new VersionConflictError({ actorId, attemptedVersion, currentVersion: head.version });
}

/**
 * Checks a condition against its actor's head.
 *
 * @throws {VersionConflictError} If the actor is at another version.
 */
export function checkCondition(
  { actorId, version }: CommitCondition,
  head: Pick<ActorHead, "version">,
): void {
  if (head.version === version) return;
  throw new VersionConflictError({
    actorId,
    attemptedVersion: version + 1,
    currentVersion: head.version,
    isCondition: true,
  });
}

/** What a commit is made of, once its conditions are divided. */
export interface ConditionedParts {
  /** The parts; those that a condition is on require its version. */
  readonly parts: readonly CommitPart[];
  /** The conditions on other actors. */
  readonly conditions: readonly CommitCondition[];
}

/** Divides conditions into those on actors that the commit writes, and the rest. */
export function divideConditions(
  parts: readonly CommitPart[],
  conditions: readonly CommitCondition[],
): ConditionedParts {
  if (conditions.length === 0) return { parts, conditions };
  const required = new Map(conditions.map(({ actorId, version }) => [actorId, version]));
  const requiring = parts.map(({ actorId, drafts, expected, fencingToken }) => {
    const version = required.get(actorId);
    required.delete(actorId);
    return new CommitPart(actorId, drafts, expected, version, fencingToken);
  });
  return {
    parts: requiring,
    conditions: Array.from(required, ([actorId, version]) => ({ actorId, version })),
  };
}

/**
 * Checks a commit's token against an actor's newest one.
 *
 * @returns The actor's newest token once the commit is stored.
 * @throws {FencedError} If the commit comes too late.
 */
export function checkFence(
  actorId: string,
  newest: number,
  commit: Pick<Commit, "fencingToken" | "unfenced">,
): number {
  const { fencingToken, unfenced } = commit;
  if (fencingToken === undefined) {
    if (newest > 0 && !unfenced) throw new FencedError(actorId, undefined, newest);
    return newest;
  }
  if (fencingToken < newest) throw new FencedError(actorId, fencingToken, newest);
  return fencingToken;
}

/**
 * Checks the limits that can be checked without encoding.
 *
 * @param conditions How many actors the commit depends on and does not write.
 * @throws {CommitTooLargeError} If there are too many actors or events.
 */
export function checkCounts(parts: readonly CommitPart[], limits: StoreLimits, conditions = 0): void {
  const actors = parts.length + conditions;
  if (actors > limits.actorsPerCommit) {
    throw new CommitTooLargeError("actors", actors, limits.actorsPerCommit);
  }
  let events = 0;
  for (const part of parts) events += part.drafts.length;
  if (events > limits.eventsPerCommit) {
    throw new CommitTooLargeError("events", events, limits.eventsPerCommit);
  }
}

/**
 * Checks the sizes of a commit that is not encoded: events are written out only where they might be too large.
 *
 * @throws {EventTooLargeError | CommitTooLargeError} If they are.
 */
export function checkSizes(parts: readonly CommitPart[], limits: StoreLimits): void {
  let most = 0;
  for (const { drafts } of parts) {
    for (const draft of drafts) {
      if (draft.most > limits.bytesPerEvent) encodeEvent(draft, limits.bytesPerEvent);
      most += draft.most;
    }
  }
  if (most > limits.bytesPerCommit) encodeParts(parts, limits);
}

/**
 * Encodes a commit's parts, each as a JSON array of its events.
 *
 * @param encode The text of an event.
 * @throws {EventTooLargeError | CommitTooLargeError} If they are over a limit.
 */
export function encodeParts(
  parts: readonly CommitPart[],
  limits: StoreLimits,
  encode: typeof encodeEvent = encodeEvent,
): string[] {
  let most = 0;
  const bodies = listOf<string>();
  for (const { drafts } of parts) {
    let body = "[";
    for (let index = 0; index < drafts.length; index++) {
      const draft = drafts[index]!;
      most += draft.most;
      if (index > 0) body += ",";
      body += encode(draft, limits.bytesPerEvent);
    }
    bodies.push(body + "]");
  }
  if (most > limits.bytesPerCommit) {
    const size = bodies.reduce((sum, body) => sum + utf8Length(body), 0);
    if (size > limits.bytesPerCommit) throw new CommitTooLargeError("bytes", size, limits.bytesPerCommit);
  }
  return bodies;
}

/**
 * The error of a commit of unknown outcome.
 *
 * @param expectedVersion The version of the first actor that the commit was sent against.
 */
export function outcomeUnknown(
  { parts }: Commit,
  expectedVersion: number,
  cause: unknown,
): OutcomeUnknownError {
  const events = parts.flatMap(({ drafts }) =>
    drafts.map(({ event }): Event => {
      const { position: _, ...attempted } = event;
      return Object.freeze(attempted);
    })
  );
  const isAppend = parts.length === 1 &&
    events.every(({ version }, index) => version === expectedVersion + 1 + index);
  const repeatWith = events.length === 0 ? "takeOver" : isAppend ? "append" : "saveEvents";
  return new OutcomeUnknownError(events, expectedVersion, { cause, repeatWith });
}
