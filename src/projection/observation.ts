/**
 * What telemetry reports of a projection's handlers.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import { type Telemetry, telemetry } from "../telemetry.ts";
import { isPending } from "./attempt.ts";
import type { HandlerTurn } from "./handler_context.ts";
import type { AnyHandler, CompiledProjection } from "./compile.ts";
import type { HandlerContext, HandlerResult } from "./projection.ts";

/** Finds the handler of a type of event. */
export type HandlerSource<Tx> = (eventType: string) => AnyHandler<Tx>;

/** The handlers as they are; each within a span where telemetry is on. To be asked now and then, not for each event. */
export function observedHandlers<Tx>({ id, handlerOf }: CompiledProjection<Tx>): HandlerSource<Tx> {
  const observed = telemetry();
  if (!observed) return handlerOf;
  return (eventType) => {
    const handler = handlerOf(eventType);
    return (event, context) => observeHandler(observed, id.name, handler, event, context);
  };
}

/** Counts an event that was set aside. */
export function countParked(projection: string): void {
  telemetry()?.count("aether.projection.events", 1, {
    "aether.projection": projection,
    "aether.outcome": "parked",
  });
}

function observeHandler<Tx>(
  observed: Telemetry,
  projection: string,
  handler: AnyHandler<Tx>,
  event: StoredEvent,
  context: HandlerContext<Tx>,
): HandlerResult | Promise<HandlerResult> {
  const attributes = {
    "aether.projection": projection,
    "aether.event_type": event.eventType,
    "aether.actor_id": event.actorId,
  };
  const settle = (outcome: "handled" | "failed"): void => {
    observed.count("aether.projection.events", 1, {
      "aether.projection": projection,
      "aether.outcome": outcome,
    });
    if (outcome === "failed") return;
    const lag = Math.max(0, Date.now() - Date.parse(event.timestamp)) / 1_000;
    observed.record("aether.projection.lag", lag, { "aether.projection": projection });
  };
  const call = async (pending: PromiseLike<HandlerResult>): Promise<HandlerResult> => {
    try {
      const result = await pending;
      settle("handled");
      return result;
    } catch (error) {
      settle("failed");
      throw error;
    }
  };
  const traceparent = event.metadata?.traceparent;
  return observed.inSpan("aether.project", { attributes, traceparent }, (span) => {
    // What the handler returns is appended after its span has ended, and belongs to it.
    (context as HandlerTurn<Tx>).traceparent = span.traceparent;
    let result: HandlerResult | Promise<HandlerResult>;
    try {
      result = handler(event, context);
    } catch (error) {
      settle("failed");
      throw error;
    }
    if (isPending(result)) return call(result);
    settle("handled");
    return result;
  });
}
