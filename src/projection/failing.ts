/**
 * The events of a record that are being tried again.
 *
 * @module
 */

import type { FailingEvent } from "./record.ts";

/** The fields of a record for them. */
interface Failures {
  readonly position?: string;
  failing?: FailingEvent | undefined;
  alsoFailing?: readonly FailingEvent[] | undefined;
}

/** Attempts are remembered over a restart of so many events at most: more of them fail for one reason. */
const MAX_REMEMBERED = 50;

/** What is recorded of the attempts at an event. */
export function failingAt(
  { failing, alsoFailing }: Failures,
  position: string,
): FailingEvent | undefined {
  if (failing === undefined || failing.position === position) return failing;
  return alsoFailing?.find((other) => other.position === position);
}

/** Records a failed attempt at an event. */
export function noteFailing(record: Failures, entry: FailingEvent): void {
  keep(record, [...othersThan(record, entry.position), entry]);
}

/** Removes what is recorded of an event that is done, or of any before it. */
export function forgetFailing(record: Failures, position: string): void {
  if (record.failing) keep(record, othersThan(record, position));
}

function othersThan(
  { failing, alsoFailing = [], position: reached = "" }: Failures,
  position: string,
): readonly FailingEvent[] {
  if (!failing) return [];
  return [failing, ...alsoFailing].filter((other) => other.position !== position && other.position > reached);
}

function keep(record: Failures, entries: readonly FailingEvent[]): void {
  const [first, ...others] = entries.toSorted((a, b) => a.position < b.position ? -1 : 1);
  record.failing = first;
  record.alsoFailing = others.length > 0 ? others.slice(0, MAX_REMEMBERED) : undefined;
}
