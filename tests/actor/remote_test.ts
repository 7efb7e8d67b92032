import assert from "node:assert/strict";
import {
  ActorClient,
  type ActorDefinition,
  ActorFailedError,
  ActorUnavailableError,
  BackendError,
  defineActor,
  OutcomeUnknownError,
  type Warning,
} from "@flowmade-one/aether/actor";
import { InMemoryBucket } from "@flowmade-one/aether/cluster";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";
import { connect } from "@nats-io/transport-node";
import { startNatsServer } from "../support/nats_server.ts";
import { Pulse } from "../support/pulse.ts";
import { until } from "../support/until.ts";
import { account, type AccountCommand, type AccountEvent, Refused, steps } from "./account.ts";
import { owns, startNode } from "./node.ts";

const open = (): InMemoryEventStore<AccountEvent> =>
  new InMemoryEventStore<AccountEvent>({ onWarning: () => {} });

type Account<A> = ActorDefinition<unknown, AccountCommand, AccountEvent, A>;

Deno.test("errors over NATS keep their kind, and answers that cannot be sent are errors too", async (t) => {
  await using server = await startNatsServer({ maxPayload: 65_536 });
  await using store = open();
  const bucket = new InMemoryBucket();
  await using node = await startNode({ url: server.url, bucket, name: "a", store, actors: [account] });
  await owns(node, 16);
  await using client = await ActorClient.connect(server.url, { actors: [account] });
  const actor = client.get(account, "account-1");
  const other = client.get(account, "account-2");

  await t.step(
    "an error of the library arrives as its class with its fields, without a stack of the host",
    async () => {
      await assert.rejects(actor.call({ go: "date" }), (error) => {
        assert.ok(error instanceof Error && error.name === "InvalidEventError", String(error));
        assert.match(error.message, /text/);
        assert.doesNotMatch(error.stack!, /draft\.ts|active_actor\.ts/);
        return true;
      });
      for (const go of ["throw", "promise", "rejected promise", "number"]) {
        await assert.rejects(actor.call({ go }), ActorFailedError);
      }
      await assert.rejects(actor.call({ go: "throw" }), (error) => {
        return error instanceof ActorFailedError && (error.cause as Error).name === "TypeError" &&
          !error.isStored;
      });
    },
  );

  await t.step("a store that a host cannot reach: the error is the store's, and names it", async () => {
    await using broken = open();
    broken.append = () =>
      Promise.reject(
        new BackendError("append", "the disk of the server is read-only", { reason: "refused" }),
      );
    await using readOnly = await startNode({
      url: server.url,
      bucket: new InMemoryBucket(),
      name: "b",
      store: broken,
      actors: [account],
    });
    await owns(readOnly, 16);
    await assert.rejects(readOnly.host.client.get(account, "account-1").call({ deposit: 1 }), BackendError);
  });

  await t.step(
    "an answer over the limit of the server: what is stored is stored, and others go on",
    async () => {
      await assert.rejects(actor.call({ note: 70_000 }, { id: "long" }), (error) => {
        assert.ok(error instanceof ActorFailedError && error.isStored, String(error));
        return /are stored, but there is no answer: .* over 65536 bytes/.test(error.message);
      });
      await assert.rejects(actor.call({ note: 70_000 }, { id: "long" }), (error) => {
        return error instanceof ActorFailedError && error.isStored;
      });
      assert.equal(await store.getLatestVersion("account-1"), 1);
      await assert.rejects(actor.query("long"), (error) => {
        return error instanceof ActorFailedError && !error.isStored && /over 65536 bytes/.test(error.message);
      });
      await assert.rejects(actor.query("map"), (error) => {
        return error instanceof ActorFailedError && !error.isStored && /cannot be sent/.test(error.message);
      });
      await assert.rejects(actor.query("later"), /returned a promise/);
      await assert.rejects(other.call({ refuse: 70_000 }), (error) => {
        return error instanceof ActorFailedError && /the error is over 65536 bytes/.test(error.message);
      });
      await assert.rejects(other.call({ refuse: 3 }), (error) => {
        return error instanceof Refused && error.amount === 3 && error.note === "xxx";
      });
      assert.equal((await other.call({ deposit: 5 })).version, 1);
    },
  );

  await t.step("a command over the limit of the server is refused before it is sent", async () => {
    const long = { go: "x".repeat(66_000) };
    await assert.rejects(
      other.call(long),
      (error) => error instanceof BackendError && error.reason === "too-large" && /65536/.test(error.message),
    );
    assert.equal((await other.call({ deposit: 5 })).version, 2);
  });

  await t.step("a call that would wait for itself over several processes names the chain", async () => {
    const calls: Promise<unknown>[] = [];
    const callFrom = (id: string, go: string): unknown => {
      calls.push(client.get(account, id).call({ go }));
      return [];
    };
    steps["call d"] = () => callFrom("account-d", "call e");
    steps["call e"] = () => callFrom("account-e", "nothing");
    await client.get(account, "account-e").call({ go: "call d" });
    await assert.rejects(calls[0]!, /account-e calls account-d calls account-e/);
    assert.equal(calls.length, 1);
  });
});

Deno.test("a host that lacks a kind, a query or a version refuses, and the call goes on to one that has it", async () => {
  await using server = await startNatsServer();
  await using store = open();
  const bucket = new InMemoryBucket();
  const { decider, queries } = account;
  const next: Account<{ balance: number; isNew: boolean }> = defineActor("account", {
    decider,
    queries: { balance: queries.balance, isNew: () => true },
    version: 2,
  }) as never;
  const same: Account<{ isNew: boolean }> = defineActor("account", {
    decider,
    queries: { isNew: () => true },
  }) as never;
  const unknown = defineActor("unknown", { decider });
  const start = (name: string, definition: Account<never>): ReturnType<typeof startNode> =>
    startNode({ url: server.url, bucket, name, store, actors: [definition] });
  await using old = await start("old", account as never);
  await owns(old, 16);
  await using client = await ActorClient.connect(server.url, { actors: [next, unknown] });
  await using earlier = await ActorClient.connect(server.url, { actors: [same] });
  await using pulse = new Pulse();
  const refused = (call: Promise<unknown>, why: RegExp): Promise<void> =>
    assert.rejects(call, (error) => {
      // It was not read in time, as a call's last try must have 20 ms for its answer.
      if (error instanceof OutcomeUnknownError && pulse.longest > 20) return true;
      assert.ok(error instanceof ActorUnavailableError && error.reason === "definition", String(error));
      assert.match(error.message, why);
      return true;
    });
  const short = { timeout: 4_000 };
  await Promise.all([
    refused(
      client.get(next, "account-1").call({ deposit: 1 }, short),
      /its host has version 1 of "account", and the caller version 2/,
    ),
    refused(client.get(unknown, "unknown-1").call({ deposit: 1 }, short), /no actors of the kind "unknown"/),
    refused(earlier.get(same, "account-1").query("isNew"), /has no query "isNew" of "account"/),
    // However the last try falls: nothing is stored, and that is known.
    ...Array.from({ length: 200 }, (_, index) => {
      const time = { timeout: 3_000 + index };
      return refused(client.get(next, `account-${index}`).call({ deposit: 1 }, time), /the caller version 2/);
    }),
  ]);
  assert.equal(await store.getLatestVersion("account-1"), 0);

  const waiting = client.get(next, "account-1").call({ deposit: 1 }, { timeout: 60_000 });
  await using updated = await start("updated", next as never);
  await old[Symbol.asyncDispose]();
  assert.equal((await waiting).version, 1);
  await owns(updated, 16);
  // Hosts are updated first: they answer callers of earlier versions.
  assert.equal((await earlier.get(same, "account-1").call({ deposit: 1 })).version, 2);
  assert.equal(await client.get(next, "account-1").query("isNew"), true);
});

Deno.test("users without permissions are refused at once, with the subject; a host warns", async () => {
  const user = (name: string, permissions: unknown): unknown => ({ user: name, password: name, permissions });
  const users = [
    user("all", {}),
    user("mute", { publish: { deny: ["aether.actors.>"] } }),
    user("half", { publish: { allow: ["aether.actors.default.info"] } }),
    user("deaf", { subscribe: { deny: ["_INBOX.>"] } }),
    user("host", { subscribe: { deny: ["aether.actors.default.3"] } }),
  ];
  await using server = await startNatsServer({ config: { accounts: { A: { users } } } });
  const as = (name: string): { readonly user: string; readonly pass: string } => ({ user: name, pass: name });
  await using store = open();
  const warnings: Warning[] = [];
  await using node = await startNode({
    url: server.url,
    bucket: new InMemoryBucket(),
    name: "a",
    store,
    actors: [account],
    connect: as("host"),
    onWarning: (warning) => warnings.push(warning),
  });
  await owns(node, 16);
  const expected: Record<string, RegExp> = {
    mute: /Publish to "aether\.actors\.default\.info"|"aether\.actors\.default\.info"/i,
    half: /"aether\.actors\.default\.\d+"/,
    deaf: /"_INBOX\.[^"]+"/,
  };
  for (const [name, subject] of Object.entries(expected)) {
    const connection = await connect({ servers: server.url, ...as(name) });
    {
      await using client = await ActorClient.connect(connection, { actors: [account] });
      for (let attempt = 0; attempt < 2; attempt++) {
        const begun = performance.now();
        await assert.rejects(
          client.get(account, "account-1").call({ deposit: 1 }, { timeout: 60_000 }),
          (error) => {
            assert.ok(error instanceof BackendError && error.reason === "denied", String(error));
            assert.match(error.message, subject);
            return true;
          },
        );
        assert.ok(performance.now() - begun < 10_000);
      }
    }
    await connection.close();
  }
  await until("the host warns", () => warnings.length > 0);
  assert.equal(warnings[0]!.code, "actor-calls-denied");
  assert.match(warnings[0]!.message, /shard 3 .*"aether\.actors\.default\.3"/);
  assert.equal(await store.getLatestVersion("account-1"), 0);
});

Deno.test("all hosts are restarted one by one under load, and no call fails", async () => {
  await using server = await startNatsServer();
  await using store = open();
  const bucket = new InMemoryBucket();
  const start = (name: string): ReturnType<typeof startNode> =>
    startNode({ url: server.url, bucket, name, store, actors: [account] });
  const nodes = await Promise.all(["a", "b", "c"].map(start));
  await Promise.all(nodes.map((node) => owns(node, 4)));
  await using client = await ActorClient.connect(server.url, { actors: [account] });
  let isOver = false;
  const ids = Array.from({ length: 30 }, (_, index) => `account-${index}`);
  const load = ids.map(async (id) => {
    let sent = 0;
    for (; !isOver; sent++) await client.get(account, id).call({ deposit: 1 }, { timeout: 30_000 });
    return sent;
  });
  for (const [index, node] of nodes.entries()) {
    await node[Symbol.asyncDispose]();
    nodes[index] = await start(node.name);
    await owns(nodes[index]!, 4);
  }
  isOver = true;
  const sent = await Promise.all(load);
  for (const [index, id] of ids.entries()) {
    assert.equal(await client.get(account, id).query("balance"), sent[index], id);
    assert.equal(await store.getLatestVersion(id), sent[index], id);
  }
  await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()));
});

Deno.test("an answer that is lost is asked for again; without any until the deadline, the outcome is unknown", async () => {
  await using server = await startNatsServer();
  await using store = open();
  await using node = await startNode({
    url: server.url,
    bucket: new InMemoryBucket(),
    name: "a",
    store,
    actors: [account],
  });
  await owns(node, 16);
  const connection = await connect({ servers: server.url });
  let losses = 1;
  const lossy = new Proxy(connection, {
    get(target, name): unknown {
      const value = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      if (name !== "subscribe") return value.bind(target);
      return (
        subject: string,
        { callback }: { callback: (error: Error | null, message: { data: Uint8Array }) => void },
      ) =>
        target.subscribe(subject, {
          callback: (error, message) => {
            if (
              message.data.length > 0 && /version/.test(new TextDecoder().decode(message.data)) &&
              losses-- > 0
            ) return;
            callback(error, message);
          },
        });
    },
  });
  {
    await using client = await ActorClient.connect(lossy, { actors: [account] });
    const actor = client.get(account, "account-1");
    assert.equal((await actor.call({ deposit: 1 }, { timeout: 60_000 })).version, 1);
    assert.equal(await store.getLatestVersion("account-1"), 1);
    losses = Infinity;
    await assert.rejects(actor.call({ deposit: 1 }, { id: "x", timeout: 300 }), (error) => {
      return error instanceof OutcomeUnknownError && error.repeatWith === "call";
    });
    losses = 0;
    assert.equal((await actor.call({ deposit: 1 }, { id: "x" })).version, 2);
    assert.equal(await store.getLatestVersion("account-1"), 2);
  }
  await connection.close();
});
