/**
 * One total order of commits, with positions to resume from.
 *
 * @module
 */

import assert from "node:assert/strict";
import { InvalidArgumentError } from "../../errors.ts";
import { InvalidPositionError } from "../../store/errors.ts";
import type { ReadAllOptions } from "../../store/types.ts";
import type { EventFilter, StoredEvent } from "../../event/types.ts";
import type { Theme } from "../context.ts";
import { abandoned, reads, tails } from "./log_readers.ts";
import {
  aheadOf,
  all,
  allOf,
  begun,
  dataOf,
  happened,
  happenedTo,
  history,
  refused,
  take,
  wholeLog,
} from "../support.ts";

/** Texts that no store makes as a position. */
const MALFORMED: readonly unknown[] = ["", "nonsense", "0", "START", "\ud800", 7, null, {}];

/** The cases of global order. */
export const globalOrder: Theme = {
  topic: "global order",
  cases: [
    {
      name: "the global log holds every event once, in the order of their commits",
      async run({ open }): Promise<void> {
        const store = await open();
        const saved = [
          ...await history(store, "b", 2),
          ...await store.saveEvents([happenedTo("a", 1), happenedTo("b", 3), happenedTo("a", 2)]),
          await store.saveEvent(happenedTo("c", 9)),
        ];
        assert.deepEqual(await wholeLog(store), saved);
      },
    },
    {
      name: "positions are text of one width, rise by <, and are the same in every read",
      async run({ open }): Promise<void> {
        const store = await open();
        assert.equal(await store.getLastPosition(), undefined);
        await history(store, "a", 40);
        await store.append("b", Array.from({ length: 40 }, () => happened()), { expectedVersion: 0 });
        const log = await wholeLog(store);
        assert.equal(log.length, 80);
        for (let index = 1; index < log.length; index++) {
          const [before, here] = [log[index - 1]!.position, log[index]!.position];
          assert(before < here, `${before} is not before ${here}`);
          assert.equal(here.length, before.length, `${before} and ${here}`);
        }
        assert.equal(await store.getLastPosition(), log.at(-1)!.position);
        assert.deepEqual(await store.getEvents("a"), log.slice(0, 40));
        assert.deepEqual(await all(() => store.readEvents("b")), log.slice(40));
      },
    },
    {
      name: "after every position, inside a commit too, a read goes on exactly behind it",
      async run({ open }): Promise<void> {
        const store = await open();
        await history(store, "a", 3);
        await store.append("b", [happened(4), happened(5), happened(6)], { expectedVersion: 0 });
        await history(store, "c", 2);
        const log = await wholeLog(store);
        for (const [index, { position }] of log.entries()) {
          assert.deepEqual(await all(() => store.readAll({ after: position })), log.slice(index + 1));
        }
        assert.deepEqual(await all(() => store.readAll({ after: "start" })), log);
        assert.deepEqual(await all(() => store.readAll({ after: "first-kept" })), log);
        assert.deepEqual(await all(() => store.readAll({ after: "end" })), []);
      },
    },
    {
      name: "a read takes as many events as its limit allows",
      async run({ open }): Promise<void> {
        const store = await open();
        const log = await history(store, "a", 5);
        for (const limit of [0, 1, 3, 5, 9]) {
          assert.deepEqual(
            await all(() => store.readAll({ limit })),
            log.slice(0, limit),
            `limit ${limit}`,
          );
        }
        const limited = { limit: 2, after: log[1]!.position };
        assert.deepEqual(await all(() => store.readAll(limited)), log.slice(2, 4));
        for (const limit of [-1, 1.5, NaN]) {
          await refused(() => all(() => store.readAll({ limit })), InvalidArgumentError);
        }
      },
    },
    {
      name: "a page ends in the middle of a commit of any size, and the next read goes on there",
      async run(context): Promise<void> {
        const store = await context.open();
        const largest = Math.min(300, store.limits.eventsPerCommit);
        for (const size of [1, 2, 3, 40, largest, 1]) {
          const events = Array.from({ length: size }, (_, index) => happened(index));
          await store.append(`of-${size}`, events, { expectedVersion: "any" });
        }
        const log = await wholeLog(store);
        for (const limit of [2, 7, 100]) {
          for (const direction of ["forward", "backward"] as const) {
            const paged: StoredEvent[] = [];
            for (let page: StoredEvent[] = [];; paged.push(...page)) {
              const last = page.at(-1)?.position;
              const from = direction === "forward"
                ? { after: last ?? "start" }
                : last === undefined
                ? {}
                : { until: last };
              // A read backward begins with the event at its place.
              const again = direction === "backward" && last !== undefined ? 1 : 0;
              const options = { direction, limit: limit + again, ...from };
              page = (await all(() => store.readAll(options))).slice(again);
              assert(page.length <= limit, `${page.length} events of ${limit}`);
              if (page.length === 0) break;
            }
            assert.deepEqual(
              paged,
              direction === "forward" ? log : log.toReversed(),
              `pages of ${limit}, ${direction}`,
            );
          }
        }
        for (const place of [0, 3, 20, 47, log.length - 2]) {
          await using subscription = store.subscribe({ after: log[place]!.position });
          const count = Math.min(60, log.length - place - 1);
          const seen = await take(context, subscription[Symbol.asyncIterator](), count);
          assert.deepEqual(seen, log.slice(place + 1, place + 1 + seen.length));
        }
      },
    },
    {
      name: "readAll ends at the position that it is asked for, itself included",
      async run({ open, openElsewhere }): Promise<void> {
        const store = await open();
        await store.saveEvents([happenedTo("a", 1), happenedTo("b", 1), happenedTo("b", 2)]);
        await history(store, "a-2", 3);
        const log = await wholeLog(store);
        for (const [index, { position: until }] of log.entries()) {
          assert.deepEqual(
            await all(() => store.readAll({ until })),
            log.slice(0, index + 1),
            `until ${index}`,
          );
          const after = log[1]!.position;
          assert.deepEqual(await all(() => store.readAll({ after, until })), log.slice(2, index + 1));
          assert.deepEqual(
            await all(() => store.readAll({ until, limit: 2 })),
            log.slice(0, Math.min(2, index + 1)),
          );
          const ofB = log.slice(0, index + 1).filter(({ actorId }) => actorId === "b");
          assert.deepEqual(await all(() => store.readAll({ until, actorId: "b" })), ofB);
        }
        const elsewhere = await openElsewhere();
        const [foreign] = await history(elsewhere, "a", 1);
        for (const until of [foreign!.position, "", "end", "start"]) {
          await refused(() => all(() => store.readAll({ until })), InvalidPositionError, { position: until });
        }
        await refused(() => all(() => store.readAll({ until: 5 as never })), InvalidArgumentError);
      },
    },
    {
      name: "readAll reads the log backward, between two places, with a filter and a limit",
      async run({ open, openElsewhere }): Promise<void> {
        const store = await open();
        await store.saveEvents([happenedTo("a", 1), happenedTo("b", 1), happenedTo("b", 2)]);
        await store.takeOver("c", 1);
        await history(store, "a-2", 40);
        await store.saveEvents([happenedTo("b", 3), happenedTo("a", 2)]);
        const direction = "backward";
        const log = await wholeLog(store);
        assert.deepEqual(await all(() => store.readAll({ direction })), log.toReversed());
        for (const limit of [1, 2, 41, 100]) {
          assert.deepEqual(
            await all(() => store.readAll({ direction, limit })),
            log.toReversed().slice(0, limit),
          );
        }
        for (const from of [0, 1, 2, 20, log.length - 1]) {
          for (const to of [from, from + 1, log.length - 1]) {
            const [after, until] = [log[from]!.position, log[Math.min(to, log.length - 1)]!.position];
            const between = log.filter(({ position }) => position > after && position <= until).toReversed();
            assert.deepEqual(
              await all(() => store.readAll({ direction, after, until })),
              between,
              `${from} ${to}`,
            );
          }
        }
        const ofB = log.filter(({ actorId }) => actorId === "b").toReversed();
        assert.deepEqual(await all(() => store.readAll({ direction, actorId: "b" })), ofB);
        assert.deepEqual(
          await all(() => store.readAll({ direction, actorPrefix: "b", limit: 2 })),
          ofB.slice(0, 2),
        );
        assert.deepEqual(
          await all(() => store.readAll({ direction, after: "first-kept" })),
          log.toReversed(),
        );
        assert.deepEqual(await all(() => store.readAll({ direction, after: "end" })), []);
        const elsewhere = await openElsewhere();
        assert.deepEqual(await all(() => elsewhere.readAll({ direction })), []);
        const [foreign] = await history(elsewhere, "a", 1);
        for (
          const place of [{ until: foreign!.position }, { after: foreign!.position }, { after: "nonsense" }]
        ) {
          await refused(() => all(() => store.readAll({ direction, ...place })), InvalidPositionError);
        }
        await refused(() => all(() => store.readAll({ direction: "down" as never })), InvalidArgumentError);
      },
    },
    {
      name: "filters choose by type, by actor and by a plain prefix of the actor's id, and by all of them",
      async run({ open }): Promise<void> {
        const store = await open();
        const ids = [
          "order",
          "order.1",
          "order.1.a",
          "order.12",
          "order-1",
          "ord",
          "Order.1",
          "x",
          "order.\xe9",
        ];
        for (const id of ids) {
          await store.append(id, [happened(1, { eventType: "A" }), happened(2, { eventType: "B" })], {
            expectedVersion: 0,
          });
        }
        const log = await wholeLog(store);
        const filters: ReadAllOptions[] = [
          { eventTypes: ["A"] },
          { eventTypes: ["A", "B", "C"] },
          { eventTypes: ["C"] },
          { actorId: "order.1" },
          { actorId: "unknown" },
          { actorPrefix: "" },
          ...["o", "ord", "order", "order.", "order.1", "order.1.", "order.\xe9", "order.*", "*", ">"].map((
            actorPrefix,
          ) => ({ actorPrefix })),
          { actorPrefix: "order.1", eventTypes: ["B"] },
          { actorPrefix: "order", actorId: "order.1", eventTypes: ["B"] },
          { actorPrefix: "x", actorId: "order.1" },
        ];
        for (const filter of filters) {
          const { eventTypes, actorId, actorPrefix = "" } = filter;
          const expected = log.filter((event) =>
            (!eventTypes || eventTypes.includes(event.eventType)) &&
            (actorId === undefined || event.actorId === actorId) && event.actorId.startsWith(actorPrefix)
          );
          assert.deepEqual(await all(() => store.readAll(filter)), expected, JSON.stringify(filter));
          const limited = { ...filter, limit: 1, after: log[3]!.position };
          assert.deepEqual(
            await all(() => store.readAll(limited)),
            expected.filter(({ position }) => position > log[3]!.position).slice(0, 1),
            `behind the fourth: ${JSON.stringify(filter)}`,
          );
        }
      },
    },
    {
      name: "filters that could never hold are refused",
      async run({ open }): Promise<void> {
        const store = await open();
        const filters: unknown[] = [
          { eventTypes: [] },
          { eventTypes: "A" },
          { eventTypes: [1] },
          { actorId: "" },
          { actorPrefix: "\ud800" },
        ];
        for (const filter of filters) {
          await refused(() => all(() => store.readAll(filter as EventFilter)), InvalidArgumentError);
          await refused(() => all(() => store.subscribe(filter as EventFilter)), InvalidArgumentError);
        }
      },
    },
    {
      name: "texts that are no positions are refused by every read of the log",
      async run({ open }): Promise<void> {
        const store = await open();
        const [, second] = await history(store, "a", 3);
        const cut = [second!.position.slice(0, -1), second!.position + "0", " " + second!.position];
        for (const after of [...MALFORMED, ...cut]) {
          for (const read of reads(store, after as string)) {
            const error = await refused(
              read,
              InvalidPositionError,
              { position: after },
              JSON.stringify(after),
            );
            assert.notEqual(error.reason, "ahead");
          }
        }
      },
    },
    {
      name: "positions of another log are refused, and those of another namespace",
      async run({ open, openElsewhere }): Promise<void> {
        const [store, elsewhere] = [await open(), await openElsewhere()];
        await history(store, "a", 3);
        const [foreign] = await history(elsewhere, "a", 3);
        for (const read of reads(store, foreign!.position)) {
          await refused(read, InvalidPositionError, { reason: "foreign", position: foreign!.position });
        }
      },
    },
    {
      name: "a position that the log has not reached is refused",
      async run({ open }): Promise<void> {
        const store = await open();
        const log = await history(store, "a", 3);
        const ahead = aheadOf(log[0]!.position, log[2]!.position);
        for (const read of reads(store, ahead)) {
          await refused(read, InvalidPositionError, { reason: "ahead", position: ahead });
        }
      },
    },
    {
      name: "a position is refused if its proof is not that of the commit at its place",
      async run({ open }): Promise<void> {
        const store = await open();
        await history(store, "a", 2);
        await store.append("b", [happened(), happened()], { expectedVersion: 0 });
        for (const { position } of await wholeLog(store)) {
          const last = position.at(-1) === "0" ? "1" : "0";
          const forged = position.slice(0, -1) + last;
          const diverged = { reason: "diverged", position: forged } as const;
          for (const read of reads(store, forged)) await refused(read, InvalidPositionError, diverged);
          await refused(() => store.verify({ expectedPosition: forged }), InvalidPositionError, diverged);
          assert.equal((await store.verify({ expectedPosition: position })).ok, true);
        }
      },
    },
    {
      name: "a read ends at the end that the log had, though its reader saves at every step",
      async run({ open }): Promise<void> {
        const store = await open();
        await history(store, "a", 3);
        let read = 0;
        for await (const _ of store.readAll()) {
          read++;
          assert(read <= 100, "the read follows its own reader");
          await store.append("b", [happened()], { expectedVersion: "any" });
        }
        assert(read >= 3);
      },
    },
    {
      name:
        "a reader that goes on from its last position misses nothing and gets nothing twice while others write",
      needs: "sharing",
      slow: true,
      async run(context): Promise<void> {
        const [one, two, reader] = [await context.open(), await context.open(), await context.open()];
        const count = context.scaled(150);
        const write = async (store: typeof one, actorId: string): Promise<void> => {
          for (let version = 1; version <= count; version++) {
            await store.saveEvents([
              happenedTo(actorId, version, version),
              happenedTo(`${actorId}-twin`, version, version),
            ]);
          }
        };
        const tail = begun(tails(context, reader, count * 4));
        await allOf([write(one, "one"), write(two, "two")]);
        const seen = await tail;
        assert.deepEqual(seen, await wholeLog(one));
      },
    },
    {
      name: "a read that is given up or aborted lets go",
      async run({ open }): Promise<void> {
        const store = await open();
        await history(store, "a", 3);
        await abandoned((signal) => store.readAll(signal && { signal }));
      },
    },
    {
      name: "namespaces of one backend share nothing",
      needs: "sharing",
      async run({ open }): Promise<void> {
        const [red, blue] = [await open({ namespace: "red" }), await open({ namespace: "blue" })];
        const [, second] = await history(red, "order", 2);
        assert.deepEqual(await wholeLog(blue), []);
        assert.equal(await blue.getLatestVersion("order"), 0);
        assert.equal(await blue.getLastPosition(), undefined);
        assert.deepEqual(await all(() => blue.listActors()), []);
        await blue.append("order", [happened("blue")], { expectedVersion: 0 });
        assert.deepEqual(dataOf(await red.getEvents("order")), [1, 2]);
        await refused(() => all(() => blue.readAll({ after: second!.position })), InvalidPositionError, {
          reason: "foreign",
        });
        for (const namespace of ["", "a.b", "a b", "*", "__internal__", "x".repeat(65), "\xe9"]) {
          await refused(
            () => open({ namespace }),
            InvalidArgumentError,
            { argument: "namespace" },
            namespace,
          );
        }
      },
    },
  ],
};
