/** The client of KV Connect makes a write again whose answer was lost, and then reports the refusal of its own repetition. */

import assert from "node:assert/strict";
import { InMemoryEventStore, Vault } from "@flowmade-one/aether";

/** A real handle, of which one write is applied and reported as refused: that of the given number. */
function losingOneAnswer(kv: Deno.Kv, lost: number): Deno.Kv {
  let writes = 0;
  const wrap = (operation: Deno.AtomicOperation): Deno.AtomicOperation => {
    const proxy: Deno.AtomicOperation = new Proxy(operation, {
      get(target, name): unknown {
        const method = Reflect.get(target, name) as (...args: unknown[]) => unknown;
        if (name !== "commit") return (...args: unknown[]) => (method.apply(target, args), proxy);
        return async () => {
          const result = await target.commit();
          return writes++ === lost ? { ok: false } : result;
        };
      },
    });
    return proxy;
  };
  return new Proxy(kv, {
    get(target, name): unknown {
      if (name === "atomic") return () => wrap(target.atomic());
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

Deno.test("a vault works on although the answer to any one of its writes was lost", async () => {
  const name = { eventType: "Registered", data: { name: "Ann" } };
  for (let lost = 0; lost < 8; lost++) {
    using kv = await Deno.openKv(":memory:");
    await using vault = await Vault.onDenoKv(losingOneAnswer(kv, lost), {
      masterKey: { id: "2026", secret: new Uint8Array(32) },
    });
    const events = { Registered: { personal: { fields: ["name"] } } } as const;
    await using store = new InMemoryEventStore({ vault, events });
    await store.append("ann", [name], { expectedVersion: 0 });
    await store.append("ann", [name], { expectedVersion: 1 });
    const data = (await store.getEvents("ann")).map((event) => event.data);
    assert.deepEqual(data, [name.data, name.data], `write ${lost}`);
    assert.equal((await vault.forget("ann", store)).receipts.length, 1, `write ${lost}`);
  }
});
