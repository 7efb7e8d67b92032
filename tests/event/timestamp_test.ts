/** Timestamps are parsed as `Date` does it, where it follows RFC 3339, and refused where they do not. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { currentTimestamp, formatTime, toTimestamp } from "../../src/event/timestamp.ts";

fc.configureGlobal({ seed: 2026 });

const instants = fc.date({
  min: new Date("0000-01-01T00:00:00Z"),
  max: new Date("9999-12-31T23:59:59.999Z"),
  noInvalidDate: true,
});
const pad = (value: number, width = 2): string => String(value).padStart(width, "0");

Deno.test("toTimestamp() keeps every instant of the years 0 to 9999, as text and as a Date", () => {
  fc.assert(fc.property(instants, (date) => {
    assert.equal(toTimestamp(date), date.toISOString());
    assert.equal(toTimestamp(date.toISOString()), date.toISOString());
  }));
});

Deno.test("instants of one minute and of those around it keep their seconds and milliseconds", () => {
  const near = fc.array(fc.integer({ min: -90_000, max: 90_000 }), { minLength: 2 });
  fc.assert(fc.property(instants, near, (date, distances) => {
    for (const distance of distances) {
      const other = new Date(date.getTime() + distance);
      assert.equal(formatTime(other.getTime()), other.toISOString());
    }
  }));
});

Deno.test("toTimestamp() moves every offset to UTC, and cuts finer fractions off", () => {
  const offsets = fc.integer({ min: -(23 * 60 + 59), max: 23 * 60 + 59 });
  fc.assert(fc.property(instants, offsets, fc.stringMatching(/^[0-9]{0,6}$/), (date, minutes, finer) => {
    const local = new Date(date.getTime() + minutes * 60_000);
    fc.pre(local.getUTCFullYear() >= 0 && local.getUTCFullYear() <= 9999);
    const size = Math.abs(minutes);
    const offset = `${minutes < 0 ? "-" : "+"}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
    const text = local.toISOString().slice(0, -1) + finer + offset;
    assert.equal(toTimestamp(text), date.toISOString(), text);
  }));
});

Deno.test("toTimestamp() takes a date exactly where the calendar has it", () => {
  const parts = fc.tuple(fc.integer({ min: 1, max: 9999 }), fc.nat({ max: 14 }), fc.nat({ max: 33 }));
  fc.assert(
    fc.property(parts, fc.constantFrom(".000Z", "Z", "+00:00"), ([year, month, day], end) => {
      const date = new Date(0);
      date.setUTCFullYear(year, month - 1, day);
      const exists = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 &&
        date.getUTCDate() === day;
      const text = `${pad(year, 4)}-${pad(month)}-${pad(day)}T00:00:00${end}`;
      assert.equal(toTimestamp(text), exists ? date.toISOString() : undefined, text);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("toTimestamp() stores only what reads back as the same instant", () => {
  const characters = fc.constantFrom(..." +-.:0123456789TZza()/,eE");
  const edits = fc.array(fc.tuple(fc.nat({ max: 23 }), characters), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(edits, (changes) => {
      const text = [..."2024-01-15T10:20:30.123Z"];
      for (const [index, character] of changes) text[index] = character;
      const stored = toTimestamp(text.join(""));
      if (stored !== undefined) assert.equal(new Date(stored).toISOString(), stored, text.join(""));
    }),
    { numRuns: 5_000 },
  );
});

Deno.test("toTimestamp() counts a leap second as the second after it", () => {
  assert.equal(toTimestamp("2016-12-31T23:59:60Z"), "2017-01-01T00:00:00.000Z");
  assert.equal(toTimestamp("2016-12-31T23:59:60.500Z"), "2017-01-01T00:00:00.000Z");
});

Deno.test("toTimestamp() is not deceived by a Date that reports another time", () => {
  const date = new Date(0);
  date.getTime = () => 5_000;
  assert.equal(toTimestamp(date), "1970-01-01T00:00:00.000Z");
});

Deno.test("currentTimestamp() returns the time", () => {
  const before = new Date().toISOString();
  const now = currentTimestamp();
  assert(before <= now && now <= new Date().toISOString());
});
