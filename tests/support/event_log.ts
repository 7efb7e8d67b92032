/**
 * Generated event logs of the shape of a real one: rows sorted by case, columns of the case and of the event, times with
 * offsets and microseconds, and what makes CSV hard. The same seed gives the same log.
 */

/** A row, by column. Empty cells are left out. */
export type LogRow = Readonly<Record<string, string>>;

/** The columns in the order of the file. */
const COLUMNS = [
  "case:channel",
  "case:concept:name",
  "case:deadline",
  "concept:instance",
  "concept:name",
  "org:group",
  "org:resource",
  "time:timestamp",
  "remark",
] as const;

const ACTIVITIES = [
  "Confirmation of receipt",
  "T02 Check confirmation of receipt",
  'T06 Determine necessity of "stop advice"',
  "T10 Determine necessity, to stop indication",
  "Pr\u00fcfung \u2713 \u{1f4e6}",
];
const REMARKS = [
  "",
  "plain",
  "with, a comma",
  'with "quotes"',
  "two\r\nlines",
  "three\n\nlines",
  "\u00e9t\u00e9 \u6f22\u5b57",
];

/** Mulberry32: a small seeded generator of numbers from 0 to 1. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = state + 0x6d2b79f5 >>> 0;
    let mixed = Math.imul(state ^ state >>> 15, 1 | state);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  };
}

/** Makes a log; a case has 1 to 11 events, 6 in the mean. */
export function generateLog(seed: number, cases: number): LogRow[] {
  const random = seededRandom(seed);
  const below = (bound: number): number => Math.floor(random() * bound);
  const pick = <T>(values: readonly T[]): T => values[below(values.length)]!;
  const rows: LogRow[] = [];
  for (let number = 0; number < cases; number++) {
    let instant = Date.UTC(2011, 0, 1) + below(300 * 86_400) * 1000;
    const channel = pick(["Internet", "Desk", "e-mail"]);
    for (let left = 1 + below(11); left > 0; left--) {
      rows.push(withoutEmpty({
        "case:channel": channel,
        "case:concept:name": `case-${10_000 + number * 7}`,
        "case:deadline": random() < 0.5 ? "" : writeTime(instant + 86_400_000, 0, 1),
        "concept:instance": `task-${rows.length}`,
        "concept:name": pick(ACTIVITIES),
        "org:group": `Group ${1 + below(9)}`,
        "org:resource": `Resource${10 + below(30)}`,
        "time:timestamp": writeTime(instant, below(1000), pick([0, 1, 2, -5])),
        remark: pick(REMARKS),
      }));
      // Now and then two events share an instant, to the microsecond or less.
      if (random() < 0.95) instant += below(5 * 86_400) * 1000 + 1;
    }
  }
  return rows;
}

/** Writes a time as the real log does: a space, microseconds, an offset. */
function writeTime(instant: number, microseconds: number, offsetHours: number): string {
  const local = new Date(instant + offsetHours * 3_600_000).toISOString().replace("T", " ").slice(0, -1);
  const offset = `${offsetHours < 0 ? "-" : "+"}${String(Math.abs(offsetHours)).padStart(2, "0")}:00`;
  return `${local}${String(microseconds).padStart(3, "0")}${offset}`;
}

function withoutEmpty(row: Record<string, string>): LogRow {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== ""));
}

/** A log as CSV. */
export function toCsv(rows: readonly LogRow[], { lineEnd = "\r\n", bom = false } = {}): string {
  const lines = [
    COLUMNS.join(","),
    ...rows.map((row) => COLUMNS.map((name) => quote(row[name] ?? "")).join(",")),
  ];
  return (bom ? "\ufeff" : "") + lines.map((line) => line + lineEnd).join("");
}

function quote(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}

/** A log as NDJSON. */
export function toNdjson(rows: readonly LogRow[]): string {
  return rows.map((row) => JSON.stringify(row) + "\n").join("");
}

/** What an import of a log must leave in the store, in this order. */
export interface ExpectedEvent {
  readonly actorId: string;
  readonly version: number;
  readonly eventType: string;
  readonly timestamp: string;
  readonly data: LogRow;
}

/** The events of a log in the order of time; rows of one instant stay in the file's order. */
export function expectedEvents(rows: readonly LogRow[]): ExpectedEvent[] {
  const versions = new Map<string, number>();
  return rows
    .map((row) => ({ row, microseconds: microsecondsOf(row["time:timestamp"]!) }))
    .sort((a, b) => a.microseconds - b.microseconds)
    .map(({ row, microseconds }) => {
      const { "case:concept:name": actorId, "concept:name": eventType, "time:timestamp": _, ...data } = row;
      const version = (versions.get(actorId!) ?? 0) + 1;
      versions.set(actorId!, version);
      const timestamp = new Date(Math.floor(microseconds / 1000)).toISOString();
      return { actorId: actorId!, version, eventType: eventType!, timestamp, data };
    });
}

function microsecondsOf(time: string): number {
  const [, seconds, fraction = "", offset] = /^(.{19})(?:\.(\d{1,6}))?(.*)$/.exec(time)!;
  return Date.parse(seconds!.replace(" ", "T") + offset!) * 1000 + Number(fraction.padEnd(6, "0"));
}
