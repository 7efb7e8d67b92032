/** The command line on a NATS server. */

import assert from "node:assert/strict";
import { Coordinator, JetStreamCheckpoints, JetStreamEventStore, projectOnce } from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { until } from "../support/until.ts";
import { aether, type Ran } from "./command_line.ts";

const VARIABLES = "AETHER_USER,AETHER_PASSWORD,AETHER_TOKEN,AETHER_CREDENTIALS";

Deno.test("aether looks into a log, its projections and a cluster on NATS, with a password that it never shows", async () => {
  const users = [
    { user: "ada", password: "right-one" },
    { user: "eve", password: "right-two", permissions: { publish: { deny: ["$JS.API.>"] } } },
  ];
  await using server = await startNatsServer({ config: { authorization: { users } } });
  const { port } = new URL(server.url);
  const url = `nats://ada:right-one@127.0.0.1:${port}`;
  const target = `nats://127.0.0.1:${port}`;
  const allow = [`--allow-net=127.0.0.1:${port}`, `--allow-env=${VARIABLES}`];
  const run = (args: readonly string[], password = "right-one"): Promise<Ran> =>
    aether(args, { allow, env: { AETHER_USER: "ada", AETHER_PASSWORD: password } });

  const empty = await run(["log", target]);
  assert.equal(empty.code, 3, empty.err);
  assert.match(empty.err, /has no event log of the namespace "default"/);
  assert.equal((await run(["cluster", target])).code, 3);
  {
    // The command line does not know the definitions of the program.
    const events = { OrderPlaced: { version: 2, upcast: [(data: unknown) => data] } };
    await using store = await JetStreamEventStore.open(url, { namespace: "orders", events });
    await using checkpoints = await JetStreamCheckpoints.open(url);
    await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
    await projectOnce(store, { name: "totals", checkpoints, handle: () => {} });
  }
  await using node = await Coordinator.join(url, {
    name: "a",
    shardCount: 16,
    ttl: 2_000,
    maxClockSkew: 100,
  });
  await until("the shards", () => [...node.shards].length === 16);

  const [log, other, status, verify, cluster] = await Promise.all([
    run(["log", target, "--namespace", "orders"]),
    run(["log", target]),
    run(["projections", target, "--namespace", "orders"]),
    run(["verify", target, "--namespace", "orders", "--json"]),
    run(["cluster", target, "--json"]),
  ]);
  assert.match(log!.out, /order-1 +1 +OrderPlaced +\{"total":5\}/, log!.err);
  assert.match(other!.err, /Choose one of its namespaces with --namespace: orders/);
  assert.match(status!.out, /totals +1 +up to date/);
  assert.equal(verify!.rows[0]!["ok"], true);
  const [row] = cluster!.rows;
  assert.deepEqual([row!["name"], row!["isLeader"], (row!["shards"] as number[]).length], ["a", true, 16]);
  const shown = await run(["cluster", target]);
  assert.match(shown.out, /^NODE .*\na .* leader .* 16 +0-15\n/);

  const denied = await aether(["log", target], {
    allow,
    env: { AETHER_USER: "eve", AETHER_PASSWORD: "right-two" },
  });
  assert.deepEqual([denied.code, denied.out], [1, ""]);
  assert.match(denied.err, /permission|may not/i);
  assert.doesNotMatch(denied.err, /right-two|\n\s+at |fault of the program/);

  const wrong = await run(["log", target], "wrong-one");
  const inUrl = await aether(["log", `nats://ada:wrong-one@127.0.0.1:${port}`], { allow });
  for (const { code, out, err } of [wrong, inUrl]) {
    assert.deepEqual([code, out], [1, ""]);
    assert.match(err, /refused the credentials/);
    assert.doesNotMatch(err, /wrong-one|\n\s+at /);
  }
});
