/** Calls over NATS whose answer can no longer come, and calls that are answered though later ones are denied. */

import assert from "node:assert/strict";
import { ActorClient, BackendError, ClosedError, OutcomeUnknownError } from "@flowmade-one/aether/actor";
import { InMemoryBucket } from "@flowmade-one/aether/cluster";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { startNatsServer } from "../support/nats_server.ts";
import { startProxy } from "../support/proxy.ts";
import { until } from "../support/until.ts";
import { account, type AccountEvent } from "./account.ts";
import { owns, startNode } from "./node.ts";

const open = (): InMemoryEventStore<AccountEvent> =>
  new InMemoryEventStore<AccountEvent>({ onWarning: () => {} });

Deno.test("a command that was sent is of unknown outcome if its answer can no longer come", async (t) => {
  const user = (name: string): unknown => ({
    user: name,
    password: name,
    permissions: { publish: { deny: [`no.${name}`] }, subscribe: { deny: [`none.${name}`] } },
  });
  await using server = await startNatsServer({
    config: { authorization: { users: ["host", "a", "b", "c", "d"].map(user) } },
  });
  await using store = open();
  const credentials = { user: "host", pass: "host" };
  const bucket = new InMemoryBucket();
  await using node = await startNode({
    url: server.url,
    bucket,
    name: "host",
    store,
    actors: [account],
    connect: credentials,
  });
  await owns(node, 16);
  await using proxy = startProxy(server.url);

  /** Calls an actor, loses the answer, and does something then. */
  const outcomeAfter = async (
    name: string,
    what: (parts: { readonly client: ActorClient; readonly connection: NatsConnection }) => Promise<void>,
  ): Promise<OutcomeUnknownError> => {
    const connection = await connect({ servers: proxy.url, user: name, pass: name });
    const client = await ActorClient.connect(connection, { actors: [account] });
    const actor = client.get(account, `account-${name}`);
    await actor.query("balance");
    const lost = Promise.withResolvers<void>();
    proxy.filter({
      toClient({ payload }): boolean {
        const isAnswer = /"version"/.test(new TextDecoder().decode(payload));
        if (isAnswer) lost.resolve();
        return isAnswer;
      },
    });
    const call = actor.call({ deposit: 1 }, { id: "once", timeout: 60_000 });
    const outcome = call.then(() => undefined, (error) => error);
    await lost.promise;
    await what({ client, connection });
    const error = await outcome;
    proxy.filter({});
    assert(error instanceof OutcomeUnknownError, String(error));
    await client.close();
    await connection.close();
    const again = await node.host.client.get(account, `account-${name}`).call({ deposit: 1 }, { id: "once" });
    assert.equal(again.version, 1);
    return error;
  };

  await t.step("the connection is closed", async () => {
    const { cause } = await outcomeAfter("a", ({ connection }) => connection.close());
    assert(cause instanceof ClosedError && cause.reason === "connection", String(cause));
  });
  await t.step("the client is closed", async () => {
    const { cause } = await outcomeAfter("b", ({ client }) => client.close());
    assert(cause instanceof ClosedError, String(cause));
  });
  await t.step("the permission to call is revoked", async () => {
    const { cause } = await outcomeAfter("c", () => server.reconfigure('"no.c"', '"aether.actors.>"'));
    assert(cause instanceof BackendError && cause.reason === "denied", String(cause));
  });
  await t.step("the permission to take answers is revoked", async () => {
    const { cause } = await outcomeAfter("d", () => server.reconfigure('"none.d"', '"_INBOX.>"'));
    assert(cause instanceof BackendError && cause.reason === "denied", String(cause));
  });
});

Deno.test("calls that were sent before the permission was revoked are answered, and later ones refused", async () => {
  const permissions = { publish: { deny: ["nothing"] } };
  await using server = await startNatsServer({
    config: {
      authorization: {
        users: [{ user: "u", password: "u", permissions }, { user: "host", password: "host" }],
      },
    },
  });
  await using store = open();
  const append = store.append.bind(store);
  const asked = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  store.append = async (...args: Parameters<typeof append>) => {
    asked.resolve();
    await gate.promise;
    return await append(...args);
  };
  await using node = await startNode({
    url: server.url,
    bucket: new InMemoryBucket(),
    name: "host",
    store,
    actors: [account],
    connect: { user: "host", pass: "host" },
  });
  await owns(node, 16);
  const connection = await connect({ servers: server.url, user: "u", pass: "u" });
  {
    await using client = await ActorClient.connect(connection, { actors: [account] });
    const actor = client.get(account, "account-1");
    const first = actor.call({ deposit: 1 });
    await asked.promise;
    await server.reconfigure('"nothing"', '"aether.actors.>"');
    const isDenied = (error: unknown): boolean => error instanceof BackendError && error.reason === "denied";
    await until(
      "the permission is gone",
      () => client.get(account, "account-2").query("balance").then(() => false, isDenied),
    );
    await Promise.all([2, 3].map((deposit) => assert.rejects(actor.call({ deposit }), isDenied)));
    gate.resolve();
    assert.equal((await first).version, 1);
  }
  await connection.close();
  assert.equal(await store.getLatestVersion("account-1"), 1);
});
