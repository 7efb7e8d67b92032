/** A vault that is closed, or whose database or connection is, while it is used. */

import assert from "node:assert/strict";
import {
  type ClosedError,
  type Event,
  InMemoryEventStore,
  Vault,
  VaultError,
  type VaultOptions,
} from "../../mod.ts";
import { connectTo } from "../../src/nats/connect.ts";
import { startNatsServer } from "../support/nats_server.ts";

const options: VaultOptions = { masterKey: { id: "2026", secret: new Uint8Array(32).fill(7) }, cacheMs: 1 };

/** Asserts that a call fails because something is closed. */
async function isClosed(call: Promise<unknown>, reason: ClosedError["reason"]): Promise<void> {
  await assert.rejects(call, (error: ClosedError) => {
    assert.equal(error.name, "ClosedError", String(error));
    assert.equal(error.reason, reason);
    return true;
  });
}

/** Uses a vault, closes it twice, and uses it again. */
async function closeAndUse(vault: Vault): Promise<void> {
  const events = { Registered: { personal: { fields: ["name"] } } } as const;
  await using store = new InMemoryEventStore<Event<"Registered", { name: unknown }>>({ vault, events });
  const registered = { eventType: "Registered", data: { name: "Ann" } } as const;
  await store.append("ann", [registered], { expectedVersion: 0 });
  await vault.close();
  await vault.close();
  await isClosed(vault.forget("ann", store), "vault");
  await isClosed(vault.rotate(), "vault");
  await isClosed(store.append("bob", [registered], { expectedVersion: 0 }), "vault");
  assert.equal(await store.getLatestVersion("bob"), 0);
}

Deno.test("a vault can be closed twice, and rejects calls from then on: in memory", async () => {
  await closeAndUse(await Vault.inMemory(options));
});

Deno.test("a vault can be closed twice, and rejects calls from then on: in Deno KV", async () => {
  await closeAndUse(await Vault.onDenoKv(":memory:", options));
});

Deno.test("a vault can be closed twice, and rejects calls from then on: on JetStream", async () => {
  await using server = await startNatsServer();
  await closeAndUse(await Vault.onJetStream(server.url, options));
});

Deno.test("a vault whose connection its owner has closed rejects calls at once", async () => {
  await using server = await startNatsServer();
  const connection = await connectTo(server.url);
  await using vault = await Vault.onJetStream(connection, options);
  await connection.close();
  await isClosed(vault.rotate(), "connection");
});

Deno.test("a vault whose bucket was deleted rejects calls at once, and names what to do", async () => {
  await using server = await startNatsServer();
  const connection = await connectTo(server.url);
  await using vault = await Vault.onJetStream(server.url, options);
  await connection.request("$JS.API.STREAM.DELETE.KV_aether_vault");
  await connection.close();
  await assert.rejects(vault.rotate(), /does not exist any more. Restore it from a backup/);
});

/** Makes another vault in the place of one, and asserts that nothing counts as forgotten then. */
async function forgetInAnother(
  vault: Vault,
  remove: () => Promise<unknown>,
  open: () => Promise<Vault>,
): Promise<void> {
  const events = { Registered: { personal: { fields: ["name"] } } } as const;
  await using store = new InMemoryEventStore<Event<"Registered", { name: unknown }>>({ vault, events });
  await store.append("ann", [{ eventType: "Registered", data: { name: "Ann" } }], { expectedVersion: 0 });
  await remove();
  await using _other = await open();
  for (const call of [vault.forget("ann", store), vault.rotate()]) {
    await assert.rejects(
      call,
      (error: VaultError) => error instanceof VaultError && error.reason === "replaced",
    );
  }
}

Deno.test("a vault that was made again since it was opened refuses to forget: on JetStream", async () => {
  await using server = await startNatsServer();
  const connection = await connectTo(server.url);
  await using vault = await Vault.onJetStream(server.url, options);
  const remove = (): Promise<unknown> => connection.request("$JS.API.STREAM.DELETE.KV_aether_vault");
  await forgetInAnother(vault, remove, () => Vault.onJetStream(server.url, options));
  await connection.close();
});

Deno.test("a vault that was made again since it was opened refuses to forget: in Deno KV", async () => {
  using kv = await Deno.openKv(":memory:");
  await using vault = await Vault.onDenoKv(kv, options);
  const remove = async (): Promise<void> => {
    for await (const { key } of kv.list({ prefix: [] })) await kv.delete(key);
  };
  await forgetInAnother(vault, remove, () => Vault.onDenoKv(kv, options));
});

Deno.test("a vault whose NATS user may not list its keys reports the permission that is missing", async () => {
  const config = {
    authorization: {
      users: [{ user: "any", password: "any" }, {
        user: "no-lists",
        password: "any",
        permissions: { publish: { allow: [">"], deny: ["$JS.API.CONSUMER.>"] } },
      }],
    },
  };
  await using server = await startNatsServer({ config });
  const as = (user: string): { connect: { user: string; pass: string } } => ({
    connect: { user, pass: "any" },
  });
  await using _made = await Vault.onJetStream(server.url, { ...options, ...as("any") });
  await using vault = await Vault.onJetStream(server.url, { ...options, ...as("no-lists") });
  await assert.rejects(vault.rotate(), /no permission for "\$JS\.API\.CONSUMER\.CREATE/);
});
