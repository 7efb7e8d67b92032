/**
 * Scenarios of one test that run at the same time.
 *
 * @module
 */

/**
 * Runs scenarios at the same time, and waits until all have ended: what one of them leaves behind disturbs no other test.
 *
 * @throws {AggregateError} If any has failed: with each failure under its scenario's name.
 */
export async function sideBySide(scenarios: Readonly<Record<string, () => Promise<void>>>): Promise<void> {
  const names = Object.keys(scenarios);
  const outcomes = await Promise.allSettled(Object.values(scenarios).map((run) => run()));
  const failures = outcomes.flatMap((outcome, index) =>
    outcome.status === "rejected" ? [new Error(`failed: ${names[index]}`, { cause: outcome.reason })] : []
  );
  if (failures.length > 0) {
    throw new AggregateError(
      failures,
      failures.map(({ message }) => message).join("; "),
    );
  }
}
