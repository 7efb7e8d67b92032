/** How numbers, sizes, times and durations are written for people. */

/** A whole number with separators: `8,577`. */
export function formatCount(count: number): string {
  return Math.round(count).toLocaleString("en");
}

/** A count with its noun: `1 event`, `2 events`. */
export function formatPlural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** A size: `2.2 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  return `${power === 0 ? bytes : (bytes / 1024 ** power).toFixed(1)} ${units[power]}`;
}

/** A stored timestamp to the second: `2011-10-11 11:45:40`. */
export function formatTime(timestamp: string): string {
  return timestamp.slice(0, 19).replace("T", " ");
}

/** A duration by its two largest units: `44d 1h`, `2m 5s`, `0s`. */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  const units = ([["d", 86_400, Infinity], ["h", 3600, 24], ["m", 60, 60], ["s", 1, 60]] as const)
    .map(([unit, size, most]) => ({ unit, amount: Math.floor(seconds / size) % most }));
  const first = units.findIndex(({ amount }) => amount > 0);
  if (first < 0) return "0s";
  return units.slice(first, first + 2).filter(({ amount }) => amount > 0).map(({ amount, unit }) =>
    `${amount}${unit}`
  )
    .join(" ");
}

/** Text without control characters, so that what a log contains cannot steer the terminal. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- these are what is to be replaced
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ");
}

/** Rows of cells as aligned lines. */
export function formatTable(rows: readonly (readonly string[])[], indent: string): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, index) => widths[index] = Math.max(widths[index] ?? 0, cell.length));
  }
  return rows
    .map((row) => indent + row.map((cell, index) => cell.padEnd(widths[index]!)).join("  ").trimEnd())
    .join("\n");
}

/** An argument as a shell takes it. */
export function shellQuote(argument: string): string {
  return /^[\w.:@%+=,/-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}
