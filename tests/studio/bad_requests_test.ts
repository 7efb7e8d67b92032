/** Requests that no page sends: positions of other logs, and values that are out of range, on the three stores. */

import assert from "node:assert/strict";
import { InMemoryEventStore } from "../../mod.ts";
import type { LogPage } from "../../src/studio/api/mod.ts";
import { studio } from "../../src/studio/mod.ts";
import { type Backend, BACKENDS } from "./backends.ts";
import { Client } from "./support.ts";

const PLACED = { eventType: "OrderPlaced", data: null };

/** Positions of two logs of each other kind of store. */
async function foreignPositions(backend: Backend): Promise<string[]> {
  const positions: string[] = [];
  for (const other of BACKENDS) {
    // The NATS server of this kind would be a second one.
    if (other.name === "NATS JetStream" && backend.name !== "memory") continue;
    await using opened = await other.open();
    const [stored] = await opened.store.append("order-1", [PLACED], { expectedVersion: 0 });
    positions.push(stored!.position);
  }
  return positions;
}

/** The place behind the end of a log, as its own positions write it. */
function ahead(position: string): string {
  return position.replace(/-.{4}/, "-7fff");
}

/** What no position is like. Each is a value of a query. */
const MALFORMED = [
  "nowhere",
  "0",
  "-1",
  "end",
  "%00",
  "%0A",
  "a%0d%0aevent: failed%0d%0adata: {}",
  "%F0%9F%98%80",
  "../../etc",
  "*.>",
  "x".repeat(5_000),
  "constructor",
  "__proto__",
];

for (const backend of BACKENDS) {
  Deno.test(`a studio on ${backend.name} refuses positions that are not of its log, in sentences`, async () => {
    const foreign = await foreignPositions(backend);
    await using opened = await backend.open();
    const { store } = opened;
    await store.append("order-1", [PLACED, PLACED, PLACED], { expectedVersion: 0 });
    const ending = new AbortController();
    const client = new Client(studio(store, { signal: ending.signal }));
    const { events: [first] } = await client.get<LogPage>("log");
    const { position } = first!;
    const wrong = [...foreign, ...MALFORMED, ahead(position), `${position}0`, position.slice(0, -1)];
    const routes = [
      ...["log?after=", "log?before=", "event?position=", "event/links?position="],
      `event/links?position=${position}&after=`,
      `log?type=OrderPlaced&after=`,
    ];
    for (const value of wrong) {
      for (const route of routes) {
        const { status, code, message } = await client.refused(route + value);
        const isMissing = code === "not-found" && route.includes("position=");
        assert(status === 400 && code === "invalid" || isMissing, `${route}${value}: ${status} ${message}`);
        assert.match(message, /^[A-Z"].{15,500}\.?$/s, `${route}${value}: ${message}`);
        assert.doesNotMatch(message, /\n\s+at |TypeError|NaN/, message);
      }
      await using stream = await client.stream(`log/live?after=${value}`);
      for (;;) {
        const message = await stream.next();
        assert(message, `${value}: the stream ended without a reason`);
        if (message.name === "connection") continue;
        if (message.name === "events") continue;
        assert.deepEqual([message.name, message.data.code, message.id], ["failed", "invalid", "last"], value);
        break;
      }
      assert.equal(await stream.next(), undefined);
    }
    // A page goes on from both words for the beginning.
    for (const start of ["start", "first-kept"]) {
      const page = await client.get<LogPage>(`log?after=${start}&limit=2`);
      assert.deepEqual([page.events.length, page.earlier], [2, position]);
      const rest = await client.get<LogPage>(`log?after=${page.later}&limit=2`);
      assert.deepEqual([rest.events.length, rest.later], [1, null]);
      const none = await client.get<LogPage>(`log?after=${start}&type=None`);
      assert.deepEqual([none.events, none.earlier, none.later], [[], null, null]);
    }
    ending.abort();
  });

  Deno.test(`a studio on ${backend.name} refuses values that are out of range, in sentences`, async () => {
    await using opened = await backend.open();
    const { store, checkpoints } = opened;
    await store.append("order-1", [PLACED], { expectedVersion: 0 });
    const client = new Client(studio(store, { checkpoints, write: true }));
    const long = "x".repeat(10_000);
    const invalid = [
      ...["0", "-1", "501", "1e3", "0x10", "NaN", "99999999999999999999"].map((limit) =>
        `log?limit=${limit}`
      ),
      ...[
        "actors?limit=0",
        "projections?limit=0",
        "projections/live?limit=501",
        "faults?limit=x",
        "faults?after=-1",
      ],
      ...["actor", "actor?actor=", "actor/state", "event", "event/links", "parked"],
      ...["from", "to"].map((name) => `actor?actor=order-1&${name}=-1`),
      ...["9", "-1", "x"].map((version) => `actor/state?actor=order-1&version=${version}`),
      ...["actor/diff?actor=order-1", "actor/diff?actor=order-1&a=0", "actor/diff?actor=order-1&a=0&b=9"],
      ...["actor/given?actor=order-1&to=9", "actor/state?actor=order-1&decider=none", "actors?after=x"],
      ...[`log?after=start&before=start`, `log?${"type=a&".repeat(101)}`],
      ...[`actor?actor=${long}`, `log?actor=${long}`],
      ...[long, "a%1Fb"].map((name) => `parked?projection=${name}`),
      "parked?projection=totals&version=0",
    ];
    for (const path of invalid) {
      const { status, code, message } = await client.refused(path);
      assert.deepEqual([status, code], [400, "invalid"], `${path.slice(0, 80)}: ${message}`);
      assert.doesNotMatch(message, /\n\s+at |NaN/);
      assert(message.length < 1_000, message);
    }
    // What can be asked for and is not there.
    for (const actor of ["order-2", "%F0%9F%98%80", "%E2%80%AE", "a.b%20*%3E", "__proto__", "..%2F.."]) {
      const { status, code } = await client.refused(`actor?actor=${actor}`);
      assert.deepEqual([status, code], [404, "not-found"], actor);
      for (const filter of [`actor=${actor}`, `prefix=${actor}x`, `type=${actor}`]) {
        assert.deepEqual((await client.get<LogPage>(`log?${filter}`)).events, [], filter);
      }
    }
    for (
      const body of [
        "",
        "null",
        "[]",
        "{",
        '{"projection":"x"}',
        '{"projection":1,"position":"p"}',
        long.repeat(10),
      ]
    ) {
      const headers = { "content-type": "application/json", "sec-fetch-site": "same-origin" };
      const { status, message } = await client.refused("parked/discard", { method: "POST", body, headers });
      assert.equal(status, 400, message);
    }
    const unknown = await client.refused("parked?projection=__proto__&version=7");
    assert.deepEqual([unknown.status, unknown.code], [404, "not-found"]);
  });
}

Deno.test("a stream of a log that is empty refuses a position, and sends it nowhere", async () => {
  await using store = new InMemoryEventStore();
  const client = new Client(studio(store));
  await using stream = await client.stream(
    `log/live?after=${encodeURIComponent("a\nevent: failed\ndata: {}")}`,
  );
  const names: string[] = [];
  for (let message = await stream.next(); message; message = await stream.next()) names.push(message.name);
  assert.deepEqual(names.filter((name) => name !== "connection"), ["failed"]);
});
