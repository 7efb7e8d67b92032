/**
 * Timestamps: many forms in, UTC with milliseconds out.
 *
 * @module
 */

import assert from "node:assert/strict";
import { InvalidEventError } from "../../event/errors.ts";
import type { Theme } from "../context.ts";
import { changesNothing, happened, refused } from "../support.ts";

const TAKEN: readonly [given: string | Date, stored: string][] = [
  ["2026-01-31T12:00:00.000Z", "2026-01-31T12:00:00.000Z"],
  ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"],
  ["2026-01-31t12:00:00z", "2026-01-31T12:00:00.000Z"],
  ["2026-01-31 12:00:00Z", "2026-01-31T12:00:00.000Z"],
  ["2011-10-11T13:45:40.276+02:00", "2011-10-11T11:45:40.276Z"],
  ["2011-10-11T13:45:40.276-05:30", "2011-10-11T19:15:40.276Z"],
  ["2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00.000Z"],
  ["2026-01-31T12:00:00.1Z", "2026-01-31T12:00:00.100Z"],
  ["2026-01-31T12:00:00.123456Z", "2026-01-31T12:00:00.123Z"],
  ["2026-01-31T12:00:00.999999999+00:00", "2026-01-31T12:00:00.999Z"],
  ["2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"],
  ["1969-07-20T20:17:40Z", "1969-07-20T20:17:40.000Z"],
  ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"],
  ["9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"],
  [new Date(0), "1970-01-01T00:00:00.000Z"],
  [new Date("2026-01-31T12:00:00.456Z"), "2026-01-31T12:00:00.456Z"],
];

const REFUSED: readonly unknown[] = [
  "",
  "yesterday",
  "2026-01-31",
  "2026-01-31T12:00:00",
  "2026-01-31T12:00Z",
  "2026-02-30T00:00:00Z",
  "2025-02-29T00:00:00.000Z",
  "2026-13-01T00:00:00Z",
  "2026-00-10T00:00:00.000Z",
  "2026-01-31T24:00:00.000Z",
  "2026-01-31T12:60:00.000Z",
  "2026-01-31T12:00:00+25:00",
  "2026-01-(1T12:00:00.000Z",
  "+12026-01-31T12:00:00Z",
  "Sat Jan 31 2026 12:00:00 GMT",
  "1769860800000",
  1769860800000,
  new Date(NaN),
  new Date(8.64e15),
  {},
  true,
];

/** Timestamps. */
export const timestamps: Theme = {
  topic: "timestamps",
  cases: [
    {
      name: "timestamps come as RFC 3339 text or as a Date, and are stored as UTC with milliseconds",
      async run({ open }): Promise<void> {
        const store = await open();
        const events = TAKEN.map(([timestamp]) => happened(null, { timestamp }));
        const saved = await store.append("order", events, { expectedVersion: 0 });
        const stored = TAKEN.map(([, text]) => text);
        assert.deepEqual(saved.map(({ timestamp }) => timestamp), stored);
        assert.deepEqual((await store.getEvents("order")).map(({ timestamp }) => timestamp), stored);
      },
    },
    {
      name: "a timestamp that is no instant is refused",
      async run({ open }): Promise<void> {
        const store = await open();
        await changesNothing(store, ["order"], async () => {
          for (const timestamp of REFUSED) {
            await refused(
              () =>
                store.append("order", [happened(null, { timestamp: timestamp as string })], {
                  expectedVersion: 0,
                }),
              InvalidEventError,
              { field: "timestamp", actorId: "order" },
              String(timestamp),
            );
          }
        });
      },
    },
    {
      name: "an event without a timestamp gets the time of its save",
      async run({ open }): Promise<void> {
        const store = await open();
        const before = new Date().toISOString();
        const [saved] = await store.append("order", [happened()], { expectedVersion: 0 });
        const after = new Date().toISOString();
        assert(saved!.timestamp >= before && saved!.timestamp <= after, saved!.timestamp);
      },
    },
    {
      name: "timestamps need not rise, and do not order events",
      async run({ open }): Promise<void> {
        const store = await open();
        const times = ["2026-01-03T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"];
        for (const [index, timestamp] of times.entries()) {
          await store.append("order", [happened(index, { timestamp })], { expectedVersion: index });
        }
        assert.deepEqual((await store.getEvents("order")).map(({ data }) => data), [0, 1, 2]);
      },
    },
  ],
};
