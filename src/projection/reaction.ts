/**
 * Reactions: events and commands for other actors that a handler returns, stored once, also after a failure.
 *
 * **The argument.** The ids of what is stored follow from the projection's name, the event and the place in the result. An append
 * expects the version at which the target's history was seen to hold none of them; so of all attempts, in any process and over any
 * place for checkpoints, the first one that is stored is the only one. Events are also recorded with the checkpoint
 * before the first attempt, because a handler may return other data when it is called again; commands are decided again.
 *
 * @module
 */

import { actorIdFault, type Draft, draftEvent } from "../event/draft.ts";
import { EventTooLargeError, InvalidEventError } from "../event/errors.ts";
import type { Event, EventMetadata, NewEvent, StoredEvent } from "../event/types.ts";
import { InvalidArgumentError } from "../errors.ts";
import { checkKnown, type OptionNames } from "../options.ts";
import { backoff } from "../sleep.ts";
import { checkCounts, checkSizes, CommitPart } from "../store/commit.ts";
import type { Decider } from "../store/decider.ts";
import {
  CommitTooLargeError,
  FencedError,
  OutcomeUnknownError,
  VersionConflictError,
} from "../store/errors.ts";
import { replay } from "../store/replay.ts";
import type { EventStore } from "../store/types.ts";
import { telemetry } from "../telemetry.ts";
import type { CommandReaction, ReactionOptions } from "./command.ts";
import type { FailedEvent } from "./errors.ts";
import type { EventReaction, Reaction } from "./projection.ts";
import { placeIds } from "./reaction_id.ts";
import type { IntendedAppend } from "./record.ts";
import { TargetHistories } from "./target_histories.ts";

/** What reactions need of a store. */
export type ReactionStore = Pick<EventStore, "append" | "getLatestVersion" | "readEvents" | "limits">;

/** Which projection reacts. */
interface Reacting {
  readonly id: { readonly name: string };
  readonly unfenced: boolean;
}

/** What settling a reaction needs. */
interface Patience {
  readonly signal: AbortSignal;
  check(): void;
  sleep(milliseconds: number): Promise<void>;
}

const FIRST_WAIT = 50;
const LONGEST_WAIT = 2000;

const FENCING_FIELDS: OptionNames<ReactionOptions> = { unfenced: true, fencingToken: true };
const EVENT_FIELDS: OptionNames<EventReaction> = { actorId: true, events: true, ...FENCING_FIELDS };
const COMMAND_FIELDS: OptionNames<CommandReaction> = {
  actorId: true,
  command: true,
  decider: true,
  ...FENCING_FIELDS,
};

/** Events for one target under one fencing token. */
interface Target {
  readonly reaction: EventReaction;
  readonly drafts: Draft[];
  hasChosenIds: boolean;
}

/** What a projection appends to other actors. */
export class Reactions {
  readonly #store: ReactionStore;
  readonly #projection: Reacting;
  readonly #patience: Patience;
  readonly #histories: TargetHistories;
  /** The targets that are appended to at this moment. */
  readonly #targets = new Map<string, Promise<void>>();

  /** Knows nothing of the targets yet. */
  constructor(store: ReactionStore, projection: Reacting, patience: Patience) {
    this.#store = store;
    this.#projection = projection;
    this.#patience = patience;
    this.#histories = new TargetHistories(store);
  }

  /**
   * Makes what is to be recorded and appended out of a handler's result. If there are commands in it, everything is stored now,
   * and nothing is left to be recorded: commands cannot be.
   *
   * @param traceparent The trace context of the handler.
   * @throws {InvalidEventError | EventTooLargeError | CommitTooLargeError} If the events could not be stored as they are.
   */
  async intend(
    cause: StoredEvent,
    reactions: readonly Reaction[],
    traceparent: string | undefined,
  ): Promise<readonly IntendedAppend[]> {
    if (!Array.isArray(reactions)) {
      throw new InvalidArgumentError(
        "handle",
        "must return nothing, or an array of { actorId, events } and commands",
      );
    }
    for (const reaction of reactions) {
      checkKnown(reaction, isCommand(reaction) ? COMMAND_FIELDS : EVENT_FIELDS, "reaction");
      const { actorId } = reaction;
      const fault = actorIdFault(actorId);
      if (fault) throw new InvalidEventError("actorId", fault);
    }
    const nextId = placeIds(this.#projection.id.name, cause);
    const commands = reactions.filter(isCommand);
    const intended = await this.#draft(cause, reactions.filter(isEvents), nextId, traceparent);
    if (commands.length === 0) return intended;
    for (const append of intended) await this.settle(append, cause);
    for (const command of commands) {
      const commandId = await nextId(command.actorId, "command");
      await this.#execute(command, commandId, cause, traceparent);
    }
    return [];
  }

  async #draft(
    cause: StoredEvent,
    reactions: readonly EventReaction[],
    nextId: (actorId: string) => Promise<string>,
    traceparent: string | undefined,
  ): Promise<readonly IntendedAppend[]> {
    const targets = new Map<string, Target>();
    for (const reaction of reactions) {
      const { actorId, events, unfenced, fencingToken } = reaction;
      const key = JSON.stringify([actorId, unfenced, fencingToken]);
      const target = targets.get(key) ?? { reaction, drafts: [], hasChosenIds: false };
      targets.set(key, target);
      for (const event of events) {
        const derived = await nextId(actorId);
        target.hasChosenIds ||= event.id !== undefined;
        target.drafts.push(
          draftEvent({ ...event, metadata: { ...causesOf(cause), ...event.metadata } }, actorId, {
            newId: () => derived,
            now: undefined,
            bytesPerEvent: this.#store.limits.bytesPerEvent,
            schemaVersionOf: () => 1,
          }),
        );
      }
    }
    const intended: IntendedAppend[] = [];
    for (const { reaction, drafts, hasChosenIds } of targets.values()) {
      if (drafts.length === 0) continue;
      const { actorId } = reaction;
      const parts = [new CommitPart(actorId, drafts, "any")];
      checkCounts(parts, this.#store.limits);
      checkSizes(parts, this.#store.limits);
      const events = drafts.map(({ event: { id, eventType, data, timestamp, metadata } }): NewEvent => (
        { id, eventType, data, timestamp, ...(metadata && { metadata }) }
      ));
      intended.push({
        actorId,
        events,
        ...(hasChosenIds && { hasChosenIds }),
        ...fencingOf(reaction),
        ...(traceparent !== undefined && { traceparent }),
      });
    }
    return intended;
  }

  /** Appends what was recorded: those of the events that are not in the target's history. */
  async settle(intended: IntendedAppend, cause: Pick<FailedEvent, "position">): Promise<void> {
    const { actorId, events, hasChosenIds, traceparent } = intended;
    const ids = events.map(({ id }) => id!);
    // An id that the handler chose may be that of an event which was stored before the cause.
    const since = hasChosenIds ? "" : cause.position;
    await this.#repeat(actorId, async () => {
      const { version, found } = await this.#histories.look(actorId, ids, since);
      const missing = events.filter(({ id }) => !found.has(id!));
      return missing.length === 0 || await this.#append(actorId, missing, version, intended, traceparent);
    });
  }

  /** Decides a command and appends what it led to, unless that is in the target's history. */
  async #execute(
    reaction: CommandReaction,
    commandId: string,
    cause: StoredEvent,
    traceparent: string | undefined,
  ): Promise<void> {
    const { actorId, command } = reaction;
    const decider = reaction.decider as Decider<unknown, unknown, Event>;
    const { signal } = this.#patience;
    await this.#repeat(actorId, async () => {
      const { version, found } = await this.#histories.look(actorId, [commandId], cause.position);
      if (found.size > 0) return true;
      const current = await replay(this.#store, actorId, decider, { signal });
      if (current.version !== version) return false;
      const decided = decider.decide(command, current.state);
      if (!Array.isArray(decided)) {
        throw new InvalidArgumentError("decider.decide", "must return an array of events");
      }
      const events = (decided as readonly NewEvent[]).map((event, index): NewEvent => ({
        ...event,
        // As execute() names the events of a command with an id; one that the decider has named keeps its name.
        id: event.id ?? `${commandId}/${index + 1}`,
        metadata: { ...causesOf(cause), ...event.metadata, commandId },
      }));
      return events.length === 0 || await this.#append(actorId, events, version, reaction, traceparent);
    });
  }

  /** One reaction to an actor after the other: events that are handled at once may have the same target. */
  async #repeat(actorId: string, attempt: () => Promise<boolean>): Promise<void> {
    while (this.#targets.has(actorId)) await this.#targets.get(actorId);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#targets.set(actorId, promise);
    try {
      await this.#repeatAlone(actorId, attempt);
    } finally {
      this.#targets.delete(actorId);
      resolve();
    }
  }

  /** Tries until an attempt is done; what has come to the actor meanwhile is read before the next one. */
  async #repeatAlone(actorId: string, attempt: () => Promise<boolean>): Promise<void> {
    for (let failures = 0;;) {
      this.#patience.check();
      try {
        if (await attempt()) return;
      } catch (error) {
        if (!(error instanceof OutcomeUnknownError)) throw error;
        await this.#patience.sleep(backoff(++failures, FIRST_WAIT, LONGEST_WAIT));
      }
      await this.#histories.refresh(actorId);
    }
  }

  /** Appends events to an actor at a version; returns whether it was at that version. */
  async #append(
    actorId: string,
    events: readonly NewEvent[],
    expectedVersion: number,
    options: ReactionOptions,
    traceparent: string | undefined,
  ): Promise<boolean> {
    const fencing = this.#projection.unfenced ? { unfenced: true } : fencingOf(options);
    const append = (): Promise<StoredEvent[]> =>
      this.#store.append(actorId, events, { expectedVersion, ...fencing });
    const observed = telemetry();
    try {
      this.#histories.note(actorId, await (observed ? observed.within(traceparent, append) : append()));
      return true;
    } catch (error) {
      if (error instanceof VersionConflictError) return false;
      throw error;
    }
  }
}

/** Whether a store will never take an append: nothing of it is stored, and repeating it has no effect. */
export function isRefusal(error: unknown): boolean {
  return error instanceof FencedError || error instanceof InvalidEventError ||
    error instanceof EventTooLargeError || error instanceof CommitTooLargeError;
}

function isCommand(reaction: Reaction): reaction is CommandReaction {
  return "decider" in reaction;
}

function isEvents(reaction: Reaction): reaction is EventReaction {
  return !isCommand(reaction);
}

function causesOf({ id, metadata }: StoredEvent): EventMetadata {
  return { causationId: id, correlationId: metadata?.correlationId ?? id };
}

function fencingOf({ unfenced, fencingToken }: ReactionOptions): ReactionOptions {
  return { ...(unfenced !== undefined && { unfenced }), ...(fencingToken !== undefined && { fencingToken }) };
}
