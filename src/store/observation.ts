/**
 * What is recorded of saves and reads where telemetry is on.
 *
 * @module
 */

import type { Draft } from "../event/draft.ts";
import type { StoredEvent } from "../event/types.ts";
import { type Telemetry, telemetry } from "../telemetry.ts";
import type { Restore } from "./buffered_iteration.ts";
import type { CommitPart } from "./commit.ts";
import { FencedError, OutcomeUnknownError, VersionConflictError } from "./errors.ts";

/** The operations that save. */
export type SaveOperation = "saveEvent" | "saveEvents" | "append";
/** The operations that read. */
export type ReadOperation = "getEvents" | "getLatestVersion" | "readEvents" | "readAll";

/** What a save is about. */
export interface ObservedSave {
  /** The store's namespace. */
  readonly namespace: string;
  /** What the user called. */
  readonly operation: SaveOperation;
  /** What is to be stored. */
  readonly parts: readonly CommitPart[];
}

/** What a read is about. */
export interface ObservedRead {
  /** The store's namespace. */
  readonly namespace: string;
  /** What the user called. */
  readonly operation: ReadOperation;
  /** The actor, if it is one actor's history. */
  readonly actorId?: string | undefined;
}

/** Runs a save within a span, whose trace context the events carry from then on. */
export function observeSave<T extends readonly StoredEvent[]>(
  telemetry: Telemetry,
  { namespace, operation, parts }: ObservedSave,
  save: (parts: readonly CommitPart[]) => T | Promise<T>,
): Promise<T> {
  const begun = performance.now();
  const settle = (outcome: string): void => {
    const attributes = {
      "aether.namespace": namespace,
      "aether.operation": operation,
      "aether.outcome": outcome,
    };
    telemetry.count("aether.store.saves", 1, attributes);
    telemetry.record("aether.store.save.duration", (performance.now() - begun) / 1_000, attributes);
  };
  const attributes = {
    "aether.namespace": namespace,
    "aether.operation": operation,
    "aether.actor_id": parts[0]!.actorId,
    "aether.events": parts.reduce((sum, { drafts }) => sum + drafts.length, 0),
  };
  return telemetry.inSpan("aether.save", { attributes }, async (span) => {
    try {
      const stored = await save(withTraceparent(parts, span.traceparent));
      settle("stored");
      telemetry.count("aether.store.events", stored.length, { "aether.namespace": namespace });
      return stored;
    } catch (error) {
      settle(outcomeOf(error));
      if (error instanceof VersionConflictError) {
        telemetry.count("aether.store.conflicts", 1, { "aether.namespace": namespace });
      }
      throw error;
    }
  });
}

/** Runs a read within a span. */
export function observeRead<T>(
  telemetry: Telemetry,
  { namespace, operation, actorId }: ObservedRead,
  read: () => T | Promise<T>,
): Promise<T> {
  return telemetry.inSpan("aether.read", {
    attributes: readAttributes(namespace, operation, actorId),
  }, async (span) => {
    const result = await read();
    if (Array.isArray(result)) span.set({ "aether.events": result.length });
    return result;
  });
}

/** Passes an iteration on, within a span that ends with it. */
export function observeIteration<T>(
  telemetry: Telemetry,
  { namespace, operation, actorId }: ObservedRead,
  iterator: AsyncIterator<T>,
): AsyncIterator<T> {
  const span = telemetry.begin("aether.read", { attributes: readAttributes(namespace, operation, actorId) });
  let events = 0;
  const end = (error?: unknown): void => {
    span.set({ "aether.events": events });
    span.end(error);
  };
  return {
    async next(): Promise<IteratorResult<T>> {
      try {
        const result = await iterator.next();
        if (result.done) end();
        else events++;
        return result;
      } catch (error) {
        end(error);
        throw error;
      }
    },
    async return(value?: unknown): Promise<IteratorResult<T>> {
      try {
        return await iterator.return?.(value) ?? { done: true, value: undefined };
      } finally {
        end();
      }
    },
  };
}

/** Records how old each event is when a subscriber takes it, on top of what is done to events then. */
export function observeTaking<E extends StoredEvent>(
  telemetry: Telemetry,
  namespace: string,
  restore: Restore<E> | undefined,
): Restore<E> {
  const attributes = { "aether.namespace": namespace, "aether.source": "store" };
  return (event) => {
    const lag = Math.max(0, Date.now() - Date.parse(event.timestamp)) / 1_000;
    telemetry.record("aether.subscription.lag", lag, attributes);
    return restore ? restore(event) : event;
  };
}

/** Counts saves whose outcome was unknown for a while, and which a store has found out about. */
export function countSettled(backend: "deno-kv" | "jetstream", saves: number): void {
  telemetry()?.count("aether.store.outcomes.settled", saves, { "aether.backend": backend });
}

function readAttributes(
  namespace: string,
  operation: ReadOperation,
  actorId: string | undefined,
): Record<"aether.namespace" | "aether.operation" | "aether.actor_id", string> {
  return {
    "aether.namespace": namespace,
    "aether.operation": operation,
    ...(actorId !== undefined && { "aether.actor_id": actorId }),
  } as Record<"aether.namespace" | "aether.operation" | "aether.actor_id", string>;
}

function outcomeOf(error: unknown): string {
  if (error instanceof VersionConflictError) return "conflict";
  if (error instanceof FencedError) return "fenced";
  return error instanceof OutcomeUnknownError ? "unknown" : "failed";
}

/** What a traceparent adds to an event's size as JSON: name, value and punctuation, and the metadata's own braces. */
const TRACEPARENT_BYTES = 90;

function withTraceparent(
  parts: readonly CommitPart[],
  traceparent: string | undefined,
): readonly CommitPart[] {
  if (traceparent === undefined) return parts;
  return parts.map((part) => ({
    ...part,
    drafts: part.drafts.map((draft): Draft => {
      const { event, most } = draft;
      if (event.metadata?.traceparent !== undefined) return draft;
      const metadata = Object.freeze({ ...event.metadata, traceparent });
      return { ...draft, event: { ...event, metadata }, most: most + TRACEPARENT_BYTES };
    }),
  }));
}
