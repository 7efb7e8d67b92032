import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import {
  ActorClient,
  ActorFailedError,
  ActorHost,
  ActorUnavailableError,
  ClosedError,
  InvalidArgumentError,
} from "@flowmade-one/aether/actor";
import { Coordinator, shardOf } from "@flowmade-one/aether/cluster";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { connect } from "@nats-io/transport-node";
import { type NatsServer, startNatsServer } from "../support/nats_server.ts";
import { type Counted, counter, TooMuch } from "./counter.ts";

const PROGRAM = fileURLToPath(new URL("host_process.ts", import.meta.url));
const TTL = 2_000;

interface Node extends AsyncDisposable {
  readonly host: ActorHost;
  readonly coordinator: Coordinator;
}

async function startNode(
  { url }: NatsServer,
  name: string,
  settings: { readonly ttl?: number } = { ttl: TTL },
): Promise<Node> {
  const connection = await connect({ servers: url });
  const store = await JetStreamEventStore.open<Counted>(url);
  const coordinator = await Coordinator.join(url, { name, shardCount: 16, ...settings });
  const host = await ActorHost.start({ store, actors: [counter], cluster: { coordinator, connection } });
  return {
    host,
    coordinator,
    async [Symbol.asyncDispose](): Promise<void> {
      await coordinator.leave();
      await host.close();
      await store.close();
      await connection.close();
    },
  };
}

async function owns(node: Node, shards: number): Promise<void> {
  while ([...node.coordinator.shards].length < shards) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const ids = (count: number): string[] => Array.from({ length: count }, (_, index) => `counter-${index}`);

Deno.test("actors of two hosts answer calls from anywhere, and move with their shards under load", async (t) => {
  await using server = await startNatsServer();
  await using first = await startNode(server, "a");
  await owns(first, 16);
  await using client = await ActorClient.connect(server.url, { actors: [counter] });
  const call = (id: string, by: number, id2?: string): Promise<{ version: number; state: number }> =>
    client.get(counter, id).call(by, id2 === undefined ? {} : { id: id2 });

  await t.step("commands, queries and errors arrive as they are", async () => {
    assert.deepEqual(await call("counter-0", 2), { version: 1, state: 2 });
    const actor = client.get(counter, "counter-0");
    assert.equal(await actor.query("sum"), 2);
    assert.deepEqual(await actor.query("twice"), { twice: 4 });
    await assert.rejects(call("counter-0", 2_000), (error) => {
      return error instanceof TooMuch && error.limit === 1_000 && error.message === "at most 1000";
    });
    await assert.rejects(call("counter-0", -1), (error) => {
      return error instanceof ActorFailedError && /not below 0/.test(error.message) &&
        !/active_actor/.test(String((error.cause as Error).stack?.split("\n")[1]));
    });
    assert.deepEqual(await call("counter-0", 0), { version: 1, state: 2 });
    assert.deepEqual(await call("counter-0", 3, "x"), { version: 2, state: 5 });
    assert.deepEqual(await call("counter-0", 3, "x"), { version: 2, state: 5 });
    assert.throws(() => client.get(counter, "other-1"), InvalidArgumentError);
  });

  await t.step(
    "requests that cannot be read, and a connection that its owner closes, harm no other call",
    async () => {
      const connection = await connect({ servers: server.url });
      const sound = { kind: "counter", version: 1, actor: "counter-9", command: 1, timeout: 1_000 };
      const deep = `{"kind":"counter","version":1,"actor":"counter-9","timeout":9,"command":${
        "[".repeat(5_000)
      }${"]".repeat(5_000)}}`;
      const hostile = [
        "",
        "no JSON",
        "null",
        deep,
        ...[
          { timeout: 1e300 },
          { timeout: -1 },
          { id: 7 },
          { query: 1 },
          { kind: 1 },
          { actor: null },
          { actor: "" },
          { id: "" },
          { version: "1" },
          { chain: [1] },
          {
            traceparent: "x",
          },
          { command: "x".repeat(300_000) },
        ]
          .map((field) => JSON.stringify({ ...sound, ...field })),
      ];
      const subject = `aether.actors.default.${shardOf("counter-9", 16)}`;
      for (const text of hostile) {
        const { data } = await connection.request(subject, text, { timeout: 60_000 });
        const answer = new TextDecoder().decode(data);
        assert.match(answer, /^\{"failed":\{"message":"the request (cannot be read|has)/, text.slice(0, 40));
      }
      await using other = await ActorClient.connect(connection, { actors: [counter] });
      const actor = other.get(counter, "counter-9");
      assert.deepEqual(await actor.call(1), { version: 1, state: 1 });
      const signal = AbortSignal.abort(new Error("enough"));
      await assert.rejects(actor.call(1, { signal }), { message: "enough" });
      await connection.close();
      await assert.rejects(actor.call(1), ClosedError);
      assert.deepEqual(await call("counter-9", 1), { version: 2, state: 2 });
    },
  );

  await t.step(
    "shards move to a host that joins, and back when it leaves, without a failed call",
    async () => {
      const sent = new Map<string, number>();
      let isOver = false;
      const load = ids(40).map(async (id) => {
        for (let by = 1; !isOver; by++) {
          await call(id, 1);
          sent.set(id, by);
        }
      });
      {
        await using second = await startNode(server, "b");
        await owns(second, 8);
        const before = second.host.active;
        while (second.host.active < before + 5) await new Promise((resolve) => setTimeout(resolve, 10));
        // A call from a host to an actor of the other one, and to one of its own.
        for (const id of ids(4)) {
          assert.equal(typeof await second.host.client.get(counter, id).query("sum"), "number");
        }
      }
      await owns(first, 16);
      isOver = true;
      await Promise.all(load);
      for (const [id, count] of sent) {
        const own = { "counter-0": 5, "counter-9": 2 }[id] ?? 0;
        assert.equal(await client.get(counter, id).query("sum"), count + own, id);
      }
    },
  );
});

Deno.test("the first call of a new cluster is answered long before a lease of the default length is over", async () => {
  await using server = await startNatsServer();
  await using node = await startNode(server, "a", {});
  assert.deepEqual(await node.host.client.get(counter, "counter-1").call(1, { timeout: 12_000 }), {
    version: 1,
    state: 1,
  });
});

Deno.test("a host that is killed is replaced, and no command takes effect twice or is lost", async () => {
  await using server = await startNatsServer();
  const start = async (name: string): Promise<Deno.ChildProcess> => {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", PROGRAM, server.url, name],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    assert.match(new TextDecoder().decode((await reader.read()).value), /ready/);
    reader.releaseLock();
    return child;
  };
  const end = async (child: Deno.ChildProcess): Promise<void> => {
    await child.stdin.close();
    await child.stdout.cancel();
    await child.status;
  };
  const [first, second] = await Promise.all([start("a"), start("b")]);
  const client = await ActorClient.connect(server.url, { actors: [counter] });
  let isOver = false;
  const counts = await (async () => {
    const load = ids(20).map(async (id) => {
      let count = 0;
      for (; !isOver; count++) await client.get(counter, id).call(1, { timeout: 30_000 });
      return count;
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
    first.kill("SIGKILL");
    await first.stdin.close().catch(() => {});
    await first.stdout.cancel();
    await first.status;
    await new Promise((resolve) => setTimeout(resolve, 2 * TTL));
    isOver = true;
    return await Promise.all(load);
  })();
  for (const [index, id] of ids(20).entries()) {
    assert.equal(await client.get(counter, id).query("sum"), counts[index], id);
  }
  await end(second);
  await assert.rejects(
    client.get(counter, "counter-1").call(1, { timeout: 300 }),
    ActorUnavailableError,
  );
  await client.close();
});
