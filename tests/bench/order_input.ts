/**
 * What the benchmarks in memory publish and save.
 *
 * @module
 */

/** An event as a user would save or publish it, its id given. */
export function input(index: number, actors = 1_000): {
  id: string;
  eventType: string;
  actorId: string;
  version: number;
  data: { total: number; items: number; customer: string };
  timestamp: string;
} {
  return {
    id: `event-${index}`,
    eventType: "OrderPlaced",
    actorId: `order-${index % actors}`,
    version: 1 + Math.floor(index / actors),
    data: { total: 99.99, items: 3, customer: "customer-123" },
    timestamp: "2026-01-31T12:00:00.000Z",
  };
}
