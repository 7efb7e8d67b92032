/**
 * Any well-formed text is an actor id, and two ids never share events.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Theme } from "../context.ts";
import { all, dataOf, happened, history, wholeLog } from "../support.ts";

/** Pairs that look alike to a store which escapes, folds, normalises, trims, splits or cuts. */
const IDS: readonly string[] = [
  "a",
  "A",
  "a.b",
  "a b",
  "a_b",
  "a-b",
  "a/b",
  "a:b",
  "a..b",
  "a.",
  ".a",
  ".",
  "..",
  " ",
  "  ",
  " a",
  "a ",
  "a\t",
  "a\n",
  "a\r\n",
  "a\0",
  "a\0b",
  "\0",
  "*",
  ">",
  "a.*",
  "a.>",
  "$SYS",
  "=",
  "=2E",
  "a=2Eb",
  "=-",
  "a=",
  "%2E",
  "a%2Eb",
  "a\\b",
  '"',
  "'",
  "`",
  "{}",
  "__proto__",
  "constructor",
  "toString",
  "undefined",
  "null",
  "0",
  "00",
  "1e0",
  "-0",
  "\xe9", // one code point
  "e\u0301", // the same letter, composed
  "\u00df",
  "ss",
  "\u0130",
  "i\u0307",
  "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}",
  "\u{1f468}",
  "\ufeff",
  "\ufeffa",
  "\ufffd",
  "\uffff",
  "\u{10ffff}",
  "x".repeat(511),
  "x".repeat(512),
  "x".repeat(511) + "y",
  "\u{1f600}".repeat(128),
  "\u{1f600}".repeat(127) + "\u{1f601}",
  ".".repeat(512),
  "\x01".repeat(512),
];

/** The cases of actor ids. */
export const actorIds: Theme = {
  topic: "actor ids",
  cases: [
    {
      name: "no two actor ids share events, for any ids",
      async run({ open }): Promise<void> {
        const store = await open();
        const counts = new Map<string, number>();
        for (const [index, actorId] of IDS.entries()) {
          assert.equal(await store.getLatestVersion(actorId), 0, JSON.stringify(actorId));
          const count = 1 + index % 3;
          const events = Array.from({ length: count }, () => happened(actorId));
          await store.append(actorId, events, { expectedVersion: 0 });
          counts.set(actorId, count);
        }
        for (const [actorId, count] of counts) {
          const name = JSON.stringify(actorId);
          const events = await store.getEvents(actorId);
          assert.deepEqual(dataOf(events), new Array(count).fill(actorId), name);
          assert(events.every((event) => event.actorId === actorId), name);
          assert.equal(await store.getLatestVersion(actorId), count, name);
          assert.deepEqual(await all(() => store.readEvents(actorId)), events, name);
        }
        const listed = await all(() => store.listActors());
        assert.equal(listed.length, IDS.length);
        assert.deepEqual(
          new Map(listed.map(({ actorId, latestVersion }) => [actorId, latestVersion])),
          counts,
        );
      },
    },
    {
      name: "filters on an actor or a prefix take ids as they are",
      async run({ open }): Promise<void> {
        const store = await open();
        for (const actorId of IDS) await store.append(actorId, [happened(actorId)], { expectedVersion: 0 });
        const log = await wholeLog(store);
        for (const id of IDS) {
          const name = JSON.stringify(id);
          assert.deepEqual(dataOf(await all(() => store.readAll({ actorId: id }))), [id], name);
          const prefixed = log.filter(({ actorId }) => actorId.startsWith(id));
          assert.deepEqual(await all(() => store.readAll({ actorPrefix: id })), prefixed, name);
        }
      },
    },
    {
      name: "tokens and snapshots of one actor id are not another's",
      async run({ open }): Promise<void> {
        const store = await open();
        const ids = ["a.b", "a b", "a", "a.b.c", "a\0", "\xe9", "e\u0301", "A.B"];
        for (const [index, actorId] of ids.entries()) {
          await history(store, actorId, 1);
          await store.takeOver(actorId, 10 + index);
          await store.saveSnapshot?.({
            actorId,
            kind: "state",
            schemaVersion: 1,
            version: 1,
            state: actorId,
            timestamp: "2026-01-01T00:00:00.000Z",
          });
        }
        for (const [index, actorId] of ids.entries()) {
          await store.append(actorId, [happened()], { expectedVersion: 1, fencingToken: 10 + index });
          if (!store.getLatestSnapshot) continue;
          assert.equal((await store.getLatestSnapshot(actorId, "state"))?.state, actorId);
        }
      },
    },
  ],
};
