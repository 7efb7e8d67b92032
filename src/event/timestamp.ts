/**
 * Timestamps: any RFC 3339 text in, UTC with milliseconds out.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { describe } from "../text.ts";

const RFC_3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/**
 * What is already as it is stored: most texts are, and taking one apart costs as much as a whole save. The 29th of February is
 * left to the other pattern.
 */
const CANONICAL =
  /^\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))T(?:[01]\d|2[0-3])(?::[0-5]\d){2}\.\d{3}Z$/;

/** The last year whose text has four digits, so that timestamps sort as text. */
const LAST_YEAR = 9999;

/** Two digits of seconds and three of milliseconds. */
const SECONDS: readonly string[] = Array.from({ length: 60 }, (_, second) => `${second}`.padStart(2, "0"));
const MILLISECONDS: readonly string[] = Array.from(
  { length: 1_000 },
  (_, rest) => `${rest}`.padStart(3, "0"),
);

let lastMinute = NaN;
let lastText = "";

/**
 * The text of an instant. Events come many a minute, and formatting a date costs as much as all else in one.
 *
 * @param milliseconds A whole number in the range of dates.
 */
export function formatTime(milliseconds: number): string {
  const minute = Math.floor(milliseconds / 60_000);
  if (minute !== lastMinute) {
    lastText = new Date(milliseconds).toISOString().slice(0, -"00.000Z".length);
    lastMinute = minute;
  }
  const rest = milliseconds - minute * 60_000;
  const second = Math.floor(rest / 1_000);
  return `${lastText}${SECONDS[second]!}.${MILLISECONDS[rest - second * 1_000]!}Z`;
}

function inRange(milliseconds: number): boolean {
  const year = new Date(milliseconds).getUTCFullYear();
  return year >= 0 && year <= LAST_YEAR;
}

/**
 * Returns a timestamp as UTC with milliseconds; finer fractions are cut off, and a leap second counts as the second
 * after it. `undefined` if the input is no instant of the years 0 to 9999.
 *
 * @param input A `Date`, or RFC 3339 text such as `2011-10-11T13:45:40.276+02:00`.
 */
export function toTimestamp(input: unknown): string | undefined {
  if (typeof input === "string") return parse(input);
  const milliseconds = timeOf(input);
  return Number.isNaN(milliseconds) || !inRange(milliseconds) ? undefined : formatTime(milliseconds);
}

/** The instant of a date; NaN for an invalid one, and for what only claims to be one. */
function timeOf(date: unknown): number {
  try {
    return Date.prototype.getTime.call(date as Date);
  } catch {
    return NaN;
  }
}

function parse(text: string): string | undefined {
  if (CANONICAL.test(text)) return text;
  const match = RFC_3339.exec(text);
  if (!match) return undefined;
  const [
    ,
    year,
    month,
    day,
    hour,
    minute,
    second,
    fraction = "",
    sign,
    offsetHour = "0",
    offsetMinute = "0",
  ] = match as (string | undefined)[];
  const days = new Date(Date.UTC(2000 + Number(year) % 400, Number(month), 0)).getUTCDate();
  if (
    Number(month) < 1 || Number(month) > 12 || Number(day) < 1 || Number(day) > days || Number(hour) > 23 ||
    Number(minute) > 59 || Number(second) > 60 || Number(offsetHour) > 23 || Number(offsetMinute) > 59
  ) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  date.setUTCHours(
    Number(hour),
    Number(minute),
    Number(second),
    second === "60" ? 0 : Number(fraction.slice(0, 3).padEnd(3, "0")),
  );
  const offset = (Number(offsetHour) * 60 + Number(offsetMinute)) * 60_000 * (sign === "-" ? -1 : 1);
  const milliseconds = date.getTime() - offset;
  return inRange(milliseconds) ? formatTime(milliseconds) : undefined;
}

/**
 * The present as a timestamp.
 *
 * @param now The option of that name. @default {the machine's clock}
 * @throws {InvalidArgumentError} If it returns no time.
 */
export function currentTimestamp(now?: () => Date): string {
  if (now) {
    const returned: unknown = now();
    const timestamp = toTimestamp(returned);
    if (timestamp !== undefined) return timestamp;
    throw new InvalidArgumentError(
      "options.now",
      `must return a valid Date, and returned ${describe(returned)}`,
    );
  }
  return formatTime(Math.trunc(Date.now())); // a clock of a test may have fractions
}
