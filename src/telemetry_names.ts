/**
 * The names of everything that the library reports: instruments and spans, with their attributes. `src/telemetry.md`
 * documents the same.
 *
 * @module
 */

/** One instrument. */
export interface MetricDefinition {
  /** What it does with values. */
  readonly kind: "counter" | "histogram" | "gauge";
  /** The unit of values, as UCUM writes it. */
  readonly unit: string;
  /** What it measures. */
  readonly description: string;
  /** What values are told apart by. */
  readonly attributes: readonly string[];
  /** The upper bounds of a histogram's buckets. */
  readonly boundaries?: readonly number[];
}

/** Seconds, from what a save in memory takes up to the deadline of one over the network. */
const SECONDS: readonly number[] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60];
/** Events, by powers of ten and halves of them. */
const EVENTS: readonly number[] = [0, 1, 10, 50, 100, 500, 1_000, 5_000, 10_000, 100_000];

/** Every instrument: its kind, unit and attributes. */
export const METRICS = {
  "aether.store.saves": {
    kind: "counter",
    unit: "{save}",
    description: "Saves, by what became of them",
    attributes: ["aether.namespace", "aether.operation", "aether.outcome"],
  },
  "aether.store.save.duration": {
    kind: "histogram",
    unit: "s",
    description: "How long saves took",
    attributes: ["aether.namespace", "aether.operation", "aether.outcome"],
    boundaries: SECONDS,
  },
  "aether.store.events": {
    kind: "counter",
    unit: "{event}",
    description: "Events that saves have stored",
    attributes: ["aether.namespace"],
  },
  "aether.store.conflicts": {
    kind: "counter",
    unit: "{conflict}",
    description: "Saves refused because another writer came first",
    attributes: ["aether.namespace"],
  },
  "aether.store.outcomes.settled": {
    kind: "counter",
    unit: "{save}",
    description: "Saves whose outcome was unknown at first, and which the store found out about",
    attributes: ["aether.backend"],
  },
  "aether.execute.retries": {
    kind: "counter",
    unit: "{retry}",
    description: "Commands that were decided again after a conflict",
    attributes: [],
  },
  "aether.replay.events": {
    kind: "histogram",
    unit: "{event}",
    description: "Events folded in a replay",
    attributes: ["aether.snapshot.hit"],
    boundaries: EVENTS,
  },
  "aether.snapshot.lookups": {
    kind: "counter",
    unit: "{lookup}",
    description: "Replays that asked for a snapshot, by whether one could be used",
    attributes: ["aether.snapshot.hit"],
  },
  "aether.event_stored": {
    kind: "counter",
    unit: "{event}",
    description: "EventStored announcements, by what became of them",
    attributes: ["aether.namespace", "aether.outcome"],
  },
  "aether.bus.published": {
    kind: "counter",
    unit: "{event}",
    description: "Events published to a bus",
    attributes: ["aether.namespace", "aether.bus"],
  },
  "aether.bus.lost": {
    kind: "counter",
    unit: "{event}",
    description: "Events that a subscriber of a bus did not get, by reason; an interruption counts as one",
    attributes: ["aether.namespace", "aether.bus", "aether.reason"],
  },
  "aether.projection.events": {
    kind: "counter",
    unit: "{event}",
    description: "Attempts of projections at events, by what became of them",
    attributes: ["aether.projection", "aether.outcome"],
  },
  "aether.projection.lag": {
    kind: "histogram",
    unit: "s",
    description: "From an event's timestamp until a projection has handled it",
    attributes: ["aether.projection"],
    boundaries: SECONDS,
  },
  "aether.actor.timers": {
    kind: "counter",
    unit: "{timer}",
    description: "Timers that were sent to their actors, by what became of them",
    attributes: ["aether.actor_kind", "aether.outcome"],
  },
  "aether.actor.timer.lateness": {
    kind: "histogram",
    unit: "s",
    description: "From when a timer was due until it was sent to its actor",
    attributes: ["aether.actor_kind"],
    boundaries: SECONDS,
  },
  "aether.actor.timers.pending": {
    kind: "gauge",
    unit: "{actor}",
    description: "Actors that have a timer, by the process that works on timers",
    attributes: ["aether.actor_kind"],
  },
  "aether.actor.timers.late": {
    kind: "gauge",
    unit: "{actor}",
    description: "Actors that have had a timer due for more than a second",
    attributes: ["aether.actor_kind"],
  },
  "aether.subscription.lag": {
    kind: "histogram",
    unit: "s",
    description: "From an event's timestamp, or its publication, until a subscriber took it",
    attributes: ["aether.namespace", "aether.source"],
    boundaries: SECONDS,
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;

/** Every span and its attributes. */
export const SPANS = {
  "aether.save": {
    kind: "client",
    description: "`saveEvent`, `saveEvents` and `append`, until the store has answered",
    attributes: ["aether.namespace", "aether.operation", "aether.actor_id", "aether.events"],
  },
  "aether.read": {
    kind: "client",
    description: "`getEvents`, `getLatestVersion`, and each iteration over `readEvents` and `readAll`",
    attributes: ["aether.namespace", "aether.operation", "aether.actor_id", "aether.events"],
  },
  "aether.publish": {
    kind: "producer",
    description: "The publication of an event to a bus",
    attributes: ["aether.namespace", "aether.bus", "aether.event_type", "aether.actor_id"],
  },
  "aether.project": {
    kind: "consumer",
    description: "A projection's handler at work on an event; its parent is the save",
    attributes: ["aether.projection", "aether.event_type", "aether.actor_id"],
  },
  "aether.call": {
    kind: "client",
    description: "A call to an actor, until it is answered",
    attributes: ["aether.operation", "aether.actor_id"],
  },
  "aether.command": {
    kind: "server",
    description: "A call at the actor, from its arrival until it is answered; its parent is `aether.call`",
    attributes: ["aether.actor_id"],
  },
  "aether.handle": {
    kind: "consumer",
    description: "A handler of `forEach` at work on an event; its parent is the publication",
    attributes: ["aether.namespace", "aether.bus", "aether.event_type", "aether.actor_id"],
  },
} as const;

/** The name of an instrument. */
export type MetricName = keyof typeof METRICS;
/** The name of a span. */
export type SpanName = keyof typeof SPANS;
/** The names of the instruments of a kind. */
export type MetricsOfKind<Kind> = {
  [N in MetricName]: (typeof METRICS)[N]["kind"] extends Kind ? N : never;
}[MetricName];
type AttributesOf<Names extends readonly string[]> = Readonly<
  Record<Names[number], string | number | boolean>
>;
/** The attributes of an instrument. */
export type MetricAttributes<N extends MetricName> = AttributesOf<(typeof METRICS)[N]["attributes"]>;
/** The attributes of a span; some are known only at its end, or not at all. */
export type SpanAttributes<N extends SpanName> = Partial<AttributesOf<(typeof SPANS)[N]["attributes"]>>;
