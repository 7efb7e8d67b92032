/**
 * Recurring timers by cron patterns in a time zone, by the library [croner](https://croner.56k.guru/).
 *
 * @example A report on every working day at nine in Berlin
 * ```ts
 * import { defineActor, type Event } from "@flowmade-one/aether/actor";
 * import { nextCron } from "@flowmade-one/aether/cron";
 *
 * type Reported = Event<"Reported", null>;
 * const report = defineActor("report", {
 *   decider: {
 *     initialState: () => "",
 *     evolve: (_last: string, event: Reported & { timestamp: string }) => event.timestamp,
 *     decide: (_command: "report") => [{ eventType: "Reported" as const, data: null }],
 *   },
 *   timers: (last) => {
 *     const at = last && nextCron("0 9 * * 1-5", { timeZone: "Europe/Berlin", after: last });
 *     return at ? { report: { at, command: "report" } } : {};
 *   },
 * });
 * console.log(report.name);
 * ```
 *
 * @module
 */

import { Cron } from "croner";
import { InvalidArgumentError } from "../errors.ts";
import { toTimestamp } from "../event/timestamp.ts";
import { checkKnown, type OptionNames, readOptions } from "../options.ts";
import { describe } from "../text.ts";

export { AetherError, InvalidArgumentError } from "../errors.ts";

/**
 * What {@linkcode nextCron} takes.
 *
 * @category Actors
 */
export interface NextCronOptions {
  /** The time zone by its IANA name, such as `Europe/Berlin`. */
  readonly timeZone: string;
  /** The time after which to look, such as that of the last event: a `Date`, an RFC 3339 text, or milliseconds since 1970. */
  readonly after: Date | string | number;
}

const OPTIONS: OptionNames<NextCronOptions> = { timeZone: true, after: true };
/** How many patterns are kept compiled. */
const MAX_KEPT = 100;
/** Five fields, with seconds six, with years seven; or a name such as `@daily`. */
const SHAPE = /^\s*(?:@[a-z]+|\S+(?:\s+\S+){4,6})\s*$/i;
const MINUTE = 60_000;
/** How far behind a change of the clocks the hour that comes twice ends at the latest, in milliseconds. */
const SOON = 180 * MINUTE;
const STEP = 30 * MINUTE;

/**
 * The first time after another one that a cron pattern names. It depends on its arguments only, as a `timers`
 * function must.
 *
 * A time of day that does not exist, because clocks are put forward, is that much later; one that comes twice, because they
 * are put back, counts once, the first time. A pattern of every hour counts each hour that passes.
 *
 * @example Both changes of the clocks
 * ```ts
 * import { nextCron } from "@flowmade-one/aether/cron";
 * import assert from "node:assert/strict";
 *
 * const timeZone = "Europe/Berlin";
 * const next = (after: string) => nextCron("30 2 * * *", { timeZone, after })?.toISOString();
 * assert.equal(next("2026-03-28T12:00:00Z"), "2026-03-29T01:30:00.000Z"); // 3:30, because there is no 2:30
 * assert.equal(next("2026-10-24T12:00:00Z"), "2026-10-25T00:30:00.000Z");
 * assert.equal(next("2026-10-25T00:30:00Z"), "2026-10-26T01:30:00.000Z"); // not at the second 2:30
 * ```
 *
 * @param pattern Five fields: minute, hour, day of the month, month, day of the week; seconds may come before them.
 * @param options The time zone, and the time after which to look.
 * @returns `undefined` if the pattern names no time after it.
 * @throws {InvalidArgumentError} If the pattern, the time zone or the time is not sound.
 *
 * @category Actors
 */
export function nextCron(pattern: string, options: NextCronOptions): Date | undefined {
  const { timeZone, after } = readOptions(options, checkOptions);
  if (typeof pattern !== "string" || !SHAPE.test(pattern)) {
    throw new InvalidArgumentError(
      "pattern",
      `must be a cron pattern such as "0 9 * * 1-5", and is ${describe(pattern)}`,
    );
  }
  const begin = new Date(after);
  const zoned = nextInZone(pattern, timeZone, begin);
  if (!isEveryHour(pattern)) return zoned;
  // In the hour that comes twice, the library does not count both: there the times of each offset are asked for.
  const soon = new Date(after + SOON);
  const offsets = [begin, soon].map((time) => offsetAt(time, timeZone));
  const candidates = offsets.map((utcOffset) => {
    const next = compile(pattern, { utcOffset }).nextRun(begin);
    return next && offsetAt(next, timeZone) === utcOffset ? next : undefined;
  });
  return [zoned, ...candidates].filter((time) => time !== undefined).sort((a, b) =>
    a.getTime() - b.getTime()
  )[0];
}

/** The next time of day in a zone. In the hour that comes twice the library may go back: then behind that hour. */
function nextInZone(pattern: string, timezone: string, begin: Date): Date | undefined {
  const cron = compile(pattern, { timezone });
  for (let from = begin.getTime();; from += STEP) {
    const next = cron.nextRun(new Date(from));
    if (!next || next > begin) return next ?? undefined;
  }
}

function isEveryHour(pattern: string): boolean {
  const fields = pattern.trim().split(/\s+/);
  return fields.length === 1 ? /^@hourly$/i.test(fields[0]!) : fields[fields.length === 5 ? 1 : 2] === "*";
}

/** How far the clocks of a time zone are ahead, in minutes. */
function offsetAt(time: Date, timeZone: string): number {
  const parts = formatOf(timeZone).formatToParts(time);
  const part = (type: string): number => Number(parts.find((part) => part.type === type)?.value);
  const local = Date.UTC(
    part("year"),
    part("month") - 1,
    part("day"),
    part("hour"),
    part("minute"),
    part("second"),
  );
  return Math.round((local - Math.floor(time.getTime() / 1_000) * 1_000) / MINUTE);
}

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(timeZone: string): Intl.DateTimeFormat {
  return kept(formats, timeZone, () =>
    new Intl.DateTimeFormat("en-US", {
      timeZone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    }));
}

const patterns = new Map<string, Cron>();

function compile(
  pattern: string,
  zone: { readonly timezone: string } | { readonly utcOffset: number },
): Cron {
  return kept(patterns, JSON.stringify([pattern, zone]), () => {
    try {
      return new Cron(pattern, { ...zone, paused: true });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new InvalidArgumentError(
        "pattern",
        `must be a cron pattern, and is ${describe(pattern)}: ${reason}`,
        { cause },
      );
    }
  });
}

/** Compiling takes a thousand times as long as looking it up. */
function kept<T>(known: Map<string, T>, key: string, make: () => T): T {
  const found = known.get(key);
  if (found) return found;
  const made = make();
  if (known.size >= MAX_KEPT) known.clear();
  known.set(key, made);
  return made;
}

function checkOptions(options: NextCronOptions): { readonly timeZone: string; readonly after: number } {
  checkKnown<NextCronOptions>(options, OPTIONS);
  const { timeZone, after } = options;
  const text = toTimestamp(typeof after === "number" ? new Date(after) : after);
  if (text === undefined) {
    const must = "must be a valid Date, an RFC 3339 time or milliseconds since 1970";
    throw new InvalidArgumentError("options.after", `${must}, and is ${describe(after)}`);
  }
  try {
    if (typeof timeZone !== "string") throw new TypeError("it is no string");
    formatOf(timeZone);
  } catch (cause) {
    const must = 'must be the IANA name of a time zone such as "Europe/Berlin"';
    throw new InvalidArgumentError("options.timeZone", `${must}, and is ${describe(timeZone)}`, { cause });
  }
  return { timeZone, after: Date.parse(text) };
}
