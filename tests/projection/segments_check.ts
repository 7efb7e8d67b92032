/**
 * Judges a read model of a projection with segments: whether each event was handled once, in the order of its actor.
 *
 * @module
 */

/** What is wrong with a read model. */
export interface SegmentFaults {
  /** Events that were not handled. */
  readonly lost: readonly string[];
  /** Events that were handled more than once. */
  readonly repeated: readonly string[];
  /** Actors whose events were handled in another order. */
  readonly disordered: readonly string[];
}

/**
 * Compares what was handled with the log.
 *
 * @param log The positions of each actor's events, in order.
 * @param handled The positions as they were handled.
 */
export function judgeSegments(
  log: ReadonlyMap<string, readonly string[]>,
  handled: ReadonlyMap<string, readonly string[]>,
): SegmentFaults {
  const lost: string[] = [];
  const repeated: string[] = [];
  const disordered: string[] = [];
  for (const [actor, positions] of log) {
    const seen = handled.get(actor) ?? [];
    const times = new Map<string, number>();
    for (const position of seen) times.set(position, (times.get(position) ?? 0) + 1);
    lost.push(...positions.filter((position) => !times.has(position)));
    repeated.push(...[...times].filter(([, count]) => count > 1).map(([position]) => position));
    if (seen.some((position, index) => index > 0 && position < seen[index - 1]!)) disordered.push(actor);
  }
  return { lost, repeated, disordered };
}
