/**
 * What a store should do, in the simplest words: the model that random histories are compared with.
 *
 * @module
 */

import type { EventInput, NewEvent } from "../../event/types.ts";
import type { ExpectedVersion, StoreLimits } from "../../store/types.ts";

/** What an event contains, without time and place. */
export interface ReferenceEvent {
  /** Its id, where its user chose one. */
  readonly id: string | undefined;
  /** Its type. */
  readonly eventType: string;
  /** Its actor. */
  readonly actorId: string;
  /** Its version. */
  readonly version: number;
  /** Its data. */
  readonly data: unknown;
}

/** Why a commit may be refused. If there are several reasons, each is as good as the others. */
export type Refusal =
  | { readonly because: "conflict"; readonly actorId: string; readonly currentVersion: number }
  | { readonly because: "fenced"; readonly actorId: string; readonly newestToken: number }
  | { readonly because: "too large"; readonly unit: "actors" | "events" };

/** What a commit should lead to. */
export interface Verdict {
  /** What is stored, or was stored by an earlier attempt; nothing if it must be refused. */
  readonly stored?: readonly ReferenceEvent[];
  /** Why it may be refused. */
  readonly refusals: readonly Refusal[];
}

interface ReferenceActor {
  readonly events: ReferenceEvent[];
  token: number;
}

/** How an event enters the reference. */
function eventOf(event: NewEvent, actorId: string, version: number): ReferenceEvent {
  return { id: event.id, eventType: event.eventType, actorId, version, data: event.data };
}

/** The model. */
export class ReferenceStore {
  /** Every event in commit order. */
  readonly log: ReferenceEvent[] = [];
  readonly #actors = new Map<string, ReferenceActor>();
  readonly #limits: StoreLimits;

  /** Takes the limits that the store declares. */
  constructor(limits: StoreLimits) {
    this.#limits = limits;
  }

  /** The actors that have events. */
  get actorIds(): string[] {
    return [...this.#actors].filter(([, { events }]) => events.length > 0).map(([actorId]) => actorId);
  }

  /** An actor's events. */
  events(actorId: string): readonly ReferenceEvent[] {
    return this.#actors.get(actorId)?.events ?? [];
  }

  /** An actor's latest version. */
  latest(actorId: string): number {
    return this.events(actorId).at(-1)?.version ?? 0;
  }

  /** The newest token stored for an actor, if any is. */
  token(actorId: string): number | undefined {
    return this.#actors.get(actorId)?.token || undefined;
  }

  /** Appends. */
  append(
    actorId: string,
    events: readonly NewEvent[],
    expected: ExpectedVersion,
    token: number | undefined,
  ): Verdict {
    const latest = this.latest(actorId);
    const refusals = this.#refuse([actorId], events.length, token);
    if (expected === "exists" ? latest === 0 : expected !== "any" && expected !== latest) {
      refusals.push({ because: "conflict", actorId, currentVersion: latest });
    }
    if (refusals.length === 0) {
      const stored = events.map((event, index) => eventOf(event, actorId, latest + 1 + index));
      return this.#store(stored, token);
    }
    const repeated = typeof expected !== "number" ? undefined : this.#repeated(actorId, events, expected);
    if (!repeated) return { refusals };
    return { stored: repeated, refusals: refusals.filter(({ because }) => because !== "conflict") };
  }

  /** Saves events under their own versions. */
  save(events: readonly EventInput[], token: number | undefined): Verdict {
    const byActor = Map.groupBy(events, ({ actorId }) => actorId);
    const refusals = this.#refuse([...byActor.keys()], events.length, token);
    for (const [actorId, [first]] of byActor) {
      const currentVersion = this.latest(actorId);
      if (first!.version <= currentVersion) refusals.push({ because: "conflict", actorId, currentVersion });
    }
    if (refusals.length > 0) return { refusals };
    const grouped = [...byActor.values()].flat();
    return this.#store(grouped.map((event) => eventOf(event, event.actorId, event.version)), token);
  }

  /** Stores a token alone. */
  takeOver(actorId: string, token: number): Verdict {
    const newestToken = this.#actor(actorId).token;
    if (token < newestToken) return { refusals: [{ because: "fenced", actorId, newestToken }] };
    this.#actor(actorId).token = token;
    return { stored: [], refusals: [] };
  }

  #refuse(actorIds: readonly string[], events: number, token: number | undefined): Refusal[] {
    const refusals: Refusal[] = [];
    if (actorIds.length > this.#limits.actorsPerCommit) {
      refusals.push({ because: "too large", unit: "actors" });
    }
    if (events > this.#limits.eventsPerCommit) refusals.push({ because: "too large", unit: "events" });
    for (const actorId of actorIds) {
      const newestToken = this.#actor(actorId).token;
      if ((token ?? 0) < newestToken) refusals.push({ because: "fenced", actorId, newestToken });
    }
    return refusals;
  }

  #repeated(actorId: string, events: readonly NewEvent[], expected: number): ReferenceEvent[] | undefined {
    const found = this.events(actorId).filter(({ version }) => version > expected).slice(0, events.length);
    const same = found.length === events.length && found.every((event, index) => {
      const { id, eventType, data } = events[index]!;
      return id !== undefined && event.id === id && event.eventType === eventType && event.data === data &&
        event.version === expected + 1 + index;
    });
    return same ? found : undefined;
  }

  #store(events: readonly ReferenceEvent[], token: number | undefined): Verdict {
    for (const event of events) {
      const actor = this.#actor(event.actorId);
      actor.events.push(event);
      actor.token = token ?? actor.token;
      this.log.push(event);
    }
    return { stored: events, refusals: [] };
  }

  #actor(actorId: string): ReferenceActor {
    let actor = this.#actors.get(actorId);
    if (!actor) this.#actors.set(actorId, actor = { events: [], token: 0 });
    return actor;
  }
}
