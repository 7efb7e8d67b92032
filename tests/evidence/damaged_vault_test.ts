/** Records of a vault that were damaged. */

import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import { BackendError, InMemoryEventStore, Vault, VaultError } from "@flowmade-one/aether";
import { startNatsServer } from "../support/nats_server.ts";
import { PATIENT } from "../support/patient.ts";

const masterKey = { id: "2026", secret: crypto.getRandomValues(new Uint8Array(32)) };
const newer = { id: "2027", secret: crypto.getRandomValues(new Uint8Array(32)) };
const events = { Registered: { personal: { fields: ["name"] } } };
const named = { eventType: "Registered", data: { name: "Ann" } };

/** The records of a vault, as another program changes them. */
interface Records {
  open(options?: object): Promise<Vault>;
  read(): Promise<ReadonlyMap<string, string>>;
  write(key: string, value: string): Promise<void>;
}

function denoKvRecords(kv: Deno.Kv): Records {
  const prefix = ["aether", "vault", "default"];
  return {
    open: (options) => Vault.onDenoKv(kv, { masterKey, cacheMs: 0, ...options }),
    read: async () =>
      new Map(
        (await Array.fromAsync(kv.list<string>({ prefix })))
          .map(({ key, value }) => [key.slice(prefix.length).join("."), value]),
      ),
    write: async (key, value) => void await kv.set([...prefix, ...key.split(".")], value),
  };
}

async function natsRecords(url: string): Promise<Records & AsyncDisposable> {
  const nats = await connect({ servers: url });
  const ask = async (subject: string, request: unknown): Promise<Record<string, unknown>> =>
    (await nats.request(`$JS.API.STREAM.${subject}.KV_aether_vault`, JSON.stringify(request), PATIENT))
      .json();
  let base = "";
  return {
    open: (options) => Vault.onJetStream(url, { masterKey, cacheMs: 0, ...options }),
    async read(): Promise<ReadonlyMap<string, string>> {
      const { state } = await ask("INFO", { subjects_filter: ">" }) as {
        state: { subjects: Record<string, number> };
      };
      const values = new Map<string, string>();
      for (const subject of Object.keys(state.subjects)) {
        const [, head = "", key = ""] = /^(.*\.default\.)(\w+\.\w+)$/.exec(subject) ?? [];
        const { message } = await ask("MSG.GET", { last_by_subj: subject }) as {
          message: { data?: string };
        };
        base = head;
        values.set(key, atob(message.data ?? ""));
      }
      return values;
    },
    write: async (key, value) => void await nats.request(base + key, value, PATIENT),
    [Symbol.asyncDispose]: () => nats.close(),
  };
}

const DAMAGED: Readonly<Record<string, readonly string[]>> = {
  master: ["", "{", "5", "null", "{}"],
  person: ["", "{", "5", "null", "[]", '{"key":5}', '{"forgetting":"x"}', '{"forgetting":[5]}'],
  key: ["", "{", "5", "null", "[]", "{}", '"x"', '{"master":"2026"}', '{"wrapped":"x"}', '{"forgotten":5}'],
  actor: ["", "{", "5", "null", "{}", '"x"', "[5]"],
};

/** What reads a record of a kind. */
const USES: Readonly<Record<string, readonly string[]>> = {
  master: ["open"],
  person: ["append", "forget"],
  key: ["append", "read", "rotate"],
  actor: ["append", "snapshot"],
};

/** Checks each damage of each record, and that all is as before when the records are restored. */
async function checkDamage(records: Records): Promise<void> {
  await using vault = await records.open();
  await using store = new InMemoryEventStore({ vault, events });
  await store.append("ann", [named], { expectedVersion: 0 });
  await using rotated = await records.open({ masterKey: newer, previousMasterKeys: [masterKey] });
  const uses: Readonly<Record<string, () => Promise<unknown>>> = {
    open: async () => await (await records.open()).close(),
    append: () => store.append("ann", [named], { expectedVersion: "any" }),
    read: () => store.getEvents("ann"),
    snapshot: async () => {
      await store.saveSnapshot({ actorId: "ann", kind: "state", schemaVersion: 1, version: 1, state: {} });
    },
    rotate: () => rotated.rotate(),
    forget: () => vault.forget("ann", store),
  };
  const whole = await records.read();
  for (const [kind, damages] of Object.entries(DAMAGED)) {
    for (const damage of damages) {
      for (const key of whole.keys()) if (key.startsWith(`${kind}.`)) await records.write(key, damage);
      const damaged = await records.read();
      for (const use of USES[kind]!) {
        await assert.rejects(uses[use]!(), (error: unknown) => {
          assert(error instanceof BackendError, `${use}, ${kind} ${damage}: ${error}`);
          assert(error.message.includes("restore the vault"), error.message);
          return true;
        });
      }
      assert.deepEqual(await records.read(), damaged, `${kind} ${damage}: nothing is written over it`);
      for (const [key, value] of whole) await records.write(key, value);
    }
  }
  assert.deepEqual((await store.getEvents("ann"))[0]!.data, { name: "Ann" });
  const [key] = [...whole.keys()].filter((name) => name.startsWith("key."));
  await records.write(key!, JSON.stringify({ master: "2026", wrapped: "AAAA" }));
  await assert.rejects(store.getEvents("ann"), VaultError);
  await records.write(key!, whole.get(key!)!);
  assert.equal((await vault.forget("ann", store)).receipts.length, 1);
}

Deno.test("a damaged record of a vault in Deno KV is refused, and nothing is written over it", async () => {
  using kv = await Deno.openKv(":memory:");
  await checkDamage(denoKvRecords(kv));
});

Deno.test("a damaged record of a vault in a NATS bucket is refused, and nothing is written over it", async () => {
  await using server = await startNatsServer();
  await using records = await natsRecords(server.url);
  await checkDamage(records);
});
