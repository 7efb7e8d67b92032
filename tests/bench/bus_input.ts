/**
 * What the benchmarks of the buses publish and save.
 *
 * @module
 */

/** An event as a user would publish it. */
export function input(index: number): {
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
    actorId: `order-${index % 1_000}`,
    version: 1 + index,
    data: { total: 99.99, items: 3, customer: "customer-123" },
    timestamp: "2026-01-31T12:00:00.000Z",
  };
}
