import assert from "node:assert/strict";
import { defineActor, type Event, execute, fireTimersOnce } from "@flowmade-one/aether/actor";
import { InvalidArgumentError, nextCron } from "@flowmade-one/aether/cron";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";

/** The next times after another one. */
function series(pattern: string, timeZone: string, after: string, count: number): string[] {
  const found: string[] = [];
  for (let last = after; found.length < count;) {
    const next = nextCron(pattern, { timeZone, after: last });
    if (!next) break;
    found.push(last = next.toISOString().replace(".000Z", "Z"));
  }
  return found;
}

Deno.test("nextCron() names a time of day once at both changes of the clocks", () => {
  const cases = [
    // Clocks are put forward at 1:00Z from 2:00 to 3:00, and back at 1:00Z from 3:00 to 2:00.
    ["30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", ["28T01:30", "29T01:30", "30T00:30"]],
    ["30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", ["24T00:30", "25T00:30", "26T01:30"]],
    ["0 9 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", ["28T08:00", "29T07:00", "30T07:00"]],
    ["0 9 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", ["24T07:00", "25T08:00", "26T08:00"]],
    // At 7:00Z from 2:00 to 3:00, and at 6:00Z from 2:00 to 1:00.
    ["30 2 * * *", "America/New_York", "2026-03-07T00:00:00Z", ["07T07:30", "08T07:30", "09T06:30"]],
    ["30 1 * * *", "America/New_York", "2026-10-31T00:00:00Z", ["31T05:30", "01T05:30", "02T06:30"]],
    // By half an hour, on the southern half of the earth.
    ["15 2 * * *", "Australia/Lord_Howe", "2026-10-02T12:00:00Z", ["02T15:45", "03T15:45", "04T15:15"]],
    // In the hour that comes twice, and behind it.
    ["*/20 2 * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", ["25T00:20", "25T00:40", "26T01:00"]],
    ["*/20 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", ["26T01:00", "26T01:20"]],
    ["0 9 * * 1-5", "UTC", "2026-01-30T09:00:00Z", ["02T09:00", "03T09:00"]],
  ] as const;
  for (const [pattern, timeZone, after, expected] of cases) {
    const found = series(pattern, timeZone, after, expected.length).map((text) => text.slice(8, 16));
    assert.deepEqual(found, expected, `${pattern} in ${timeZone} after ${after}`);
  }
});

Deno.test("nextCron() counts every hour that passes, also the one that comes twice", () => {
  for (
    const [timeZone, after] of [
      ["Europe/Berlin", "2026-10-24T20:30:00Z"],
      ["Europe/Berlin", "2026-03-28T20:30:00Z"],
      ["America/New_York", "2026-11-01T01:30:00Z"],
      ["America/New_York", "2026-03-08T01:30:00Z"],
      ["UTC", "2026-03-08T01:30:00Z"],
    ] as const
  ) {
    for (const pattern of ["0 * * * *", "@hourly", "0 0 * * * *", "*/20 * * * *"]) {
      const every = pattern.startsWith("*/20") ? 20 : 60;
      const times = series(pattern, timeZone, after, 30).map((text) => Date.parse(text));
      for (let index = 1; index < times.length; index++) {
        const text = `${pattern} in ${timeZone} at ${new Date(times[index]!).toISOString()}`;
        assert.equal(times[index]! - times[index - 1]!, every * 60_000, text);
      }
    }
  }
});

Deno.test("nextCron() takes times in each form, and may find none", () => {
  const expected = new Date("2026-02-01T00:00:00Z");
  for (const after of [new Date("2026-01-31T00:00:00Z"), "2026-01-31T01:00:00+01:00", 1_769_817_600_000]) {
    assert.deepEqual(nextCron("@daily", { timeZone: "UTC", after }), expected);
  }
  assert.equal(nextCron("0 0 30 2 *", { timeZone: "UTC", after: 0 }), undefined);
});

Deno.test("nextCron() refuses a pattern, a zone and a time that are not sound, and names them", () => {
  const refused = (argument: string) => (error: unknown): boolean =>
    error instanceof InvalidArgumentError && error.argument === argument;
  const sound = { timeZone: "UTC", after: 0 };
  for (
    const pattern of ["", "bad", "* * * *", "61 * * * *", "0 25 * * *", "@never", "2026-01-01T00:00:00", 7]
  ) {
    assert.throws(() => nextCron(pattern as string, sound), refused("pattern"), String(pattern));
  }
  for (const timeZone of ["", "Mars/Base", 7, undefined]) {
    assert.throws(
      () => nextCron("* * * * *", { ...sound, timeZone: timeZone as string }),
      refused("options.timeZone"),
    );
  }
  for (const after of [NaN, new Date(NaN), "tomorrow", Infinity, undefined, null]) {
    assert.throws(
      () => nextCron("* * * * *", { ...sound, after: after as number }),
      refused("options.after"),
    );
  }
  assert.throws(() => nextCron("* * * * *", { ...sound, zone: 1 } as never), refused("options.zone"));
  assert.throws(() => nextCron("* * * * *", 7 as never), refused("options"));
});

type Reported = Event<"Reported", null> & { readonly timestamp: string };

Deno.test("a timer recurs by a cron pattern, over a change of the clocks and a time in which nothing ran", async () => {
  const timeZone = "Europe/Berlin";
  const decider = {
    initialState: (): string => "",
    evolve: (_last: string, { timestamp }: Reported): string => timestamp,
    decide: (_command: "report") => [{ eventType: "Reported" as const, data: null }],
  };
  const report = defineActor("report", {
    decider,
    timers: (last) => {
      const at = last && nextCron("0 9 * * *", { timeZone, after: last });
      return at ? { report: { at, command: "report" } } : {};
    },
  });
  let time = Date.parse("2026-03-27T08:00:00Z");
  await using store = new InMemoryEventStore<Reported>({ now: () => new Date(time) });
  await execute(store, "report-1", decider, "report");
  const expected = ["27T08:00", "28T08:00", "29T07:00", "30T07:00"];
  for (let days = 0; days < 3; days++) {
    const { next } = await fireTimersOnce(store, [report]);
    time = next!.getTime();
    assert.equal((await fireTimersOnce(store, [report])).fired, 1);
  }
  time = Date.parse("2026-06-01T12:00:00Z");
  const { fired, next } = await fireTimersOnce(store, [report]);
  assert.deepEqual([fired, next], [1, new Date("2026-06-02T07:00:00Z")]);
  const times = (await store.getEvents("report-1")).map(({ timestamp }) => timestamp.slice(8, 16));
  assert.deepEqual(times, [...expected, "01T12:00"]);
});

Deno.test("a timer recurs by the state itself", async () => {
  const decider = {
    initialState: (): string => "",
    evolve: (_last: string, { timestamp }: Reported): string => timestamp,
    decide: (_command: "report") => [{ eventType: "Reported" as const, data: null }],
  };
  const hourly = defineActor("hourly", {
    decider,
    timers: (last) => last ? { again: { at: Date.parse(last) + 3_600_000, command: "report" } } : {},
  });
  let time = Date.parse("2026-03-27T08:00:00Z");
  await using store = new InMemoryEventStore<Reported>({ now: () => new Date(time) });
  await execute(store, "hourly-1", decider, "report");
  for (let hours = 0; hours < 5; hours++) {
    assert.equal((await fireTimersOnce(store, [hourly])).fired, 0);
    time += 3_600_000;
    assert.equal((await fireTimersOnce(store, [hourly])).fired, 1);
  }
  assert.equal(await store.getLatestVersion("hourly-1"), 6);
});
