/** What a page of the log costs on JetStream: what the server sends for it, however many events a commit has. */

import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import { JetStreamEventStore } from "../../../mod.ts";
import { startNatsServer } from "../../support/nats_server.ts";

Deno.test("a page of 100 events is sent not much more, in commits of 1 to 1,000 events, in both directions", async () => {
  await using server = await startNatsServer();
  await using connection = await connect({ servers: server.url });
  for (const commit of [1, 7, 100, 1_000]) {
    await using store = await JetStreamEventStore.open(connection, { namespace: `of-${commit}` });
    const events = Array.from({ length: commit }, (_, index) => (
      { eventType: "Placed", data: { index, text: "some text that is in every event of this log" } }
    ));
    const commits = commit === 1 ? 400 : Math.max(12, 1_000 / commit);
    await Promise.all(
      Array.from(
        { length: commits },
        (_, index) => store.append(`order-${index % 7}`, events, { expectedVersion: "any" }),
      ),
    );
    const before = connection.stats().inBytes;
    const all = await Array.fromAsync(store.readAll(), ({ position }) => position);
    const perEvent = (connection.stats().inBytes - before) / all.length;
    for (const direction of ["forward", "backward"] as const) {
      for (const place of [0, all.length >> 1, (all.length >> 1) + (commit >> 1)]) {
        const at = direction === "forward" ? place : all.length - 1 - place;
        const from = connection.stats().inBytes;
        const where = direction === "forward" ? { after: all[at]! } : { until: all[at]! };
        const page = await Array.fromAsync(
          store.readAll({ ...where, limit: 100, direction }),
          ({ position }) => position,
        );
        const sent = connection.stats().inBytes - from;
        const expected = direction === "forward"
          ? all.slice(at + 1, at + 101)
          : all.slice(Math.max(0, at - 99), at + 1).toReversed();
        assert.deepEqual(page, expected, `commits of ${commit}, ${direction}`);
        // Besides the page: what the place is checked with, and a few commits more.
        const most = (100 + 8 * commit) * perEvent * 1.5 + 20_000;
        assert(
          sent <= most,
          `${sent} bytes of at most ${Math.round(most)}, commits of ${commit}, ${direction}`,
        );
      }
    }
  }
});

Deno.test("a page is filled over commits without events, and those that a filter leaves out", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url);
  for (let token = 1; token <= 60; token++) {
    await store.takeOver(`order-${token % 3}`, token);
    const eventType = token % 10 === 0 ? "Rare" : "Often";
    await store.append("other", [{ eventType, data: token }], { expectedVersion: "any" });
  }
  const data = (events: AsyncIterable<{ readonly data: unknown }>): Promise<unknown[]> =>
    Array.fromAsync(events, ({ data }) => data);
  const numbers = Array.from({ length: 60 }, (_, index) => index + 1);
  assert.deepEqual(await data(store.readAll({ limit: 50 })), numbers.slice(0, 50));
  const backward = store.readAll({ limit: 50, direction: "backward" });
  assert.deepEqual(await data(backward), numbers.toReversed().slice(0, 50));
  const rare = store.readAll({ eventTypes: ["Rare"], limit: 5 });
  assert.deepEqual(await data(rare), [10, 20, 30, 40, 50]);
  const lastRare = store.readAll({ eventTypes: ["Rare"], limit: 5, direction: "backward" });
  assert.deepEqual(await data(lastRare), [60, 50, 40, 30, 20]);
});
