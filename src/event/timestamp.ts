/**
 * Timestamps: any RFC 3339 text in, UTC with milliseconds out.
 *
 * @module
 */

const RFC_3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/** The last year whose text has four digits, so that timestamps sort as text. */
const LAST_YEAR = 9999;

let lastMillisecond = NaN;
let lastText = "";

/** The text of an instant. Saves come many a millisecond, and formatting a date costs as much as all else in one. */
function format(milliseconds: number): string {
  if (milliseconds !== lastMillisecond) {
    lastText = new Date(milliseconds).toISOString();
    lastMillisecond = milliseconds;
  }
  return lastText;
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
  return Number.isNaN(milliseconds) || !inRange(milliseconds) ? undefined : format(milliseconds);
}

/** The instant of a date; NaN for an invalid one, and for what only claims to be one. */
function timeOf(date: unknown): number {
  try {
    return Date.prototype.getTime.call(date as Date);
  } catch {
    return NaN;
  }
}

/** The days of each month, outside a leap year. */
const DAYS: readonly number[] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** The number that two digits mean; NaN if they are not digits. */
function twoDigits(text: string, at: number): number {
  const tens = text.charCodeAt(at) - 48;
  const ones = text.charCodeAt(at + 1) - 48;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : NaN;
}

/**
 * Whether a text is already what is stored: most are, and taking one apart with a pattern costs as much as a whole save.
 * The 29th of February is left to the pattern.
 */
function isCanonical(text: string): boolean {
  if (
    text.length !== 24 || text[4] !== "-" || text[7] !== "-" || text[10] !== "T" || text[13] !== ":" ||
    text[16] !== ":" || text[19] !== "." || text[23] !== "Z"
  ) return false;
  const month = twoDigits(text, 5);
  const day = twoDigits(text, 8);
  return month >= 1 && month <= 12 && day >= 1 && day <= DAYS[month - 1]! && twoDigits(text, 11) <= 23 &&
    twoDigits(text, 14) <= 59 && twoDigits(text, 17) <= 59 &&
    twoDigits(text, 0) >= 0 && twoDigits(text, 2) >= 0 && twoDigits(text, 20) >= 0 &&
    twoDigits(text, 21) >= 0;
}

function parse(text: string): string | undefined {
  if (isCanonical(text)) return text;
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
  return inRange(milliseconds) ? format(milliseconds) : undefined;
}

/** The present as a timestamp. */
export function currentTimestamp(): string {
  return format(Date.now());
}
