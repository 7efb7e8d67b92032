/**
 * One namespace never sees another's events.
 *
 * @module
 */

import assert from "node:assert/strict";
import { InvalidArgumentError } from "../../../errors.ts";
import { INTERNAL_NAMESPACE } from "../../../event/event_stored.ts";
import { refused } from "../../support.ts";
import type { BusTheme } from "../context.ts";

/** What is no namespace, on any bus. */
const HOSTILE: readonly unknown[] = [
  "",
  " ",
  ".",
  "a.b",
  "a.",
  ".a",
  "*",
  ">",
  "a.*",
  "a.>",
  "orders*",
  "$SYS",
  "$SYS.>",
  "_INBOX.>",
  "a b",
  "a\tb",
  "a\r\nPUB b 0",
  "a\n",
  "a\0",
  "\0",
  "orders\u200b",
  "\u043erders", // a Cyrillic o
  "caf\u00e9",
  "cafe\u0301",
  "\uff41",
  "\u{1F980}",
  "\ud800",
  "a/b",
  "a\\b",
  "a=b",
  "a%2e",
  "x".repeat(65),
  "x".repeat(100_000),
  undefined,
  null,
  0,
  {},
  ["orders"],
  { toString: (): string => "orders" },
];

/** Namespaces that careless code could take for one another. */
const ALIKE: readonly string[] = [
  "orders",
  "order",
  "orders-",
  "orders_",
  "-orders",
  "_orders",
  "Orders",
  "ORDERS",
  "0rders",
  "orders-1",
  "orders-11",
  "__orders",
  "orders__",
  "_",
  "-",
  "--",
  "a",
  "A",
  "aether-bus",
  "constructor",
  "__proto",
  "toString",
  "x".repeat(63),
  "x".repeat(64),
];

/** Actors and types that mean something to a broker, or look like one another. */
const ODD_NAMES: readonly string[] = [
  "*",
  ">",
  "a.*",
  "a.>",
  "a.b",
  "a",
  "a.",
  ".a",
  "..",
  "$SYS",
  "$JS.API.>",
  " ",
  "a b",
  "a\r\nPUB x 0\r\n",
  "a\0",
  "=2E",
  "=-",
  "caf\u00e9",
  "cafe\u0301",
  "\u043erders",
  "orders",
  "\u{1F980}",
  "__proto__",
  "x".repeat(256),
];

/** Isolation. */
export const isolation: BusTheme = {
  theme: "isolation",
  cases: [
    {
      name: "what is no name is no namespace, and nothing is sent",
      async run(context): Promise<void> {
        const all = context.listener.subscribePattern("*");
        await all.ready;
        for (const name of HOSTILE) {
          const what = JSON.stringify(name)?.slice(0, 40) ?? "undefined";
          const namespace = name as string;
          await refused(() => context.publish(namespace, null), InvalidArgumentError, {}, `publish ${what}`);
          await refused(
            () => context.listener.subscribe(namespace),
            InvalidArgumentError,
            {},
            `subscribe ${what}`,
          );
        }
        await context.publish("last", "end");
        const [first] = await context.take(all[Symbol.asyncIterator](), 1);
        assert.equal(first!.namespace, "last");
      },
    },
    {
      name: "a subscriber gets the events of its own namespace alone, for any names",
      async run(context): Promise<void> {
        const subscriptions = ALIKE.map((name) => context.listener.subscribe(name));
        await Promise.all(subscriptions.map(({ ready }) => ready));
        for (const name of ALIKE) await context.publish(name, name);
        for (const name of ALIKE) await context.publish(name, "end");
        for (const [index, subscription] of subscriptions.entries()) {
          assert.deepEqual(await context.untilEnd(subscription), [ALIKE[index]]);
        }
      },
    },
    {
      name: "a subscriber of one actor gets that actor's events alone, for any ids",
      async run(context): Promise<void> {
        const subscriptions = ODD_NAMES.map((actorId) => context.listener.subscribe("odd", { actorId }));
        await Promise.all(subscriptions.map(({ ready }) => ready));
        for (const actorId of ODD_NAMES) await context.publish("odd", actorId, { actorId });
        for (const actorId of ODD_NAMES) await context.publish("odd", "end", { actorId });
        for (const [index, subscription] of subscriptions.entries()) {
          assert.deepEqual(await context.untilEnd(subscription), [ODD_NAMES[index]]);
        }
      },
    },
    {
      name: "a subscriber of one type gets events of that type alone, for any types",
      async run(context): Promise<void> {
        const subscriptions = ODD_NAMES.map((type) =>
          context.listener.subscribe("odd", { eventTypes: [type] })
        );
        await Promise.all(subscriptions.map(({ ready }) => ready));
        for (const eventType of ODD_NAMES) await context.publish("odd", eventType, { eventType });
        for (const eventType of ODD_NAMES) await context.publish("odd", "end", { eventType });
        for (const [index, subscription] of subscriptions.entries()) {
          assert.deepEqual(await context.untilEnd(subscription), [ODD_NAMES[index]]);
        }
      },
    },
    {
      name: "a prefix of actor ids is plain text, with any characters",
      async run(context): Promise<void> {
        const prefixes = ["a", "a.", "*", "=", "caf", "cafe", " ", "x".repeat(300), "\u{1F980}", ".", "$"];
        const subscriptions = prefixes.map((actorPrefix) =>
          context.listener.subscribe("odd", { actorPrefix })
        );
        await Promise.all(subscriptions.map(({ ready }) => ready));
        for (const actorId of ODD_NAMES) await context.publish("odd", actorId, { actorId });
        for (const prefix of prefixes) await context.publish("odd", "end", { actorId: `${prefix}!` });
        for (const [index, subscription] of subscriptions.entries()) {
          const expected = ODD_NAMES.filter((name) => name.startsWith(prefixes[index]!));
          const iterator = subscription[Symbol.asyncIterator]();
          const got = await context.take(iterator, expected.length);
          assert.deepEqual(got.map(({ data }) => data), expected, JSON.stringify(prefixes[index]));
          const [end] = await context.take(iterator, 1);
          assert.equal(end!.data, "end");
        }
      },
    },
    {
      name: "the system's namespaces can be listened to, and not published to",
      async run(context): Promise<void> {
        for (const name of [INTERNAL_NAMESPACE, "__x__", "____", "__a__b__"]) {
          const subscription = context.listener.subscribe(name);
          await subscription.ready;
          await refused(() => context.publish(name, null), InvalidArgumentError);
          assert.equal(subscription.pending, 0);
        }
      },
    },
    {
      name: "a pattern takes a call of its own, and names the namespace of each event",
      async run(context): Promise<void> {
        for (
          const pattern of ["tenant-1", "", "a.*", "*.>", ">", " *", "\u00e9*", "*".repeat(65), undefined]
        ) {
          await refused(() => context.listener.subscribePattern(pattern as string), InvalidArgumentError);
        }
        const tenants = context.listener.subscribePattern("tenant-*-live", { eventTypes: ["Happened"] });
        await tenants.ready;
        for (const name of ["tenant-1-live", "tenant-2-test", "x-tenant-1-live", "tenant-live"]) {
          await context.publish(name, name);
        }
        await context.publish("tenant-1-live", "left out", { eventType: "Other" });
        await context.publish("tenant--live", "last");
        const got = await context.take(tenants[Symbol.asyncIterator](), 2);
        assert.deepEqual(got.map(({ namespace, event }) => [namespace, event.data]), [
          ["tenant-1-live", "tenant-1-live"],
          ["tenant--live", "last"],
        ]);
      },
    },
  ],
};
