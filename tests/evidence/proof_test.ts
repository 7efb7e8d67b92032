/** Proofs of single events. */

import assert from "node:assert/strict";
import { proveEvent, SealError, SealFolder, sealOnce, verifyProof } from "../../src/evidence/mod.ts";
import { InMemoryEventStore } from "../../src/store/memory/mod.ts";
import { InvalidArgumentError } from "../../src/errors.ts";
import { generateSealKey } from "../../src/evidence/signer.ts";
import { fill, ORIGIN, refusesWith, sealFixture } from "./support.ts";

Deno.test("proveEvent() proves each event, and verifyProof() needs the text and the key alone", async () => {
  await using store = new InMemoryEventStore();
  await using seal = await sealFixture();
  const { signer, folder, key } = seal;
  await fill(store, 777);
  const { size } = await sealOnce(store, folder, { signer });
  let index = 0;
  for await (const event of store.readAll()) {
    const proof = await proveEvent(store, folder, event.position);
    const proved = verifyProof(proof, { key, origin: ORIGIN, event });
    assert.deepEqual([proved.index, proved.size, proved.schemaVersion], [index++, size, 1]);
    assert.deepEqual(proved.event, event);
  }
});

Deno.test("verifyProof() refuses a proof with any byte changed, another key, origin or event", async () => {
  await using store = new InMemoryEventStore();
  await using seal = await sealFixture();
  const { signer, folder, key } = seal;
  const positions = await fill(store, 300);
  await sealOnce(store, folder, { signer });
  const event = (await Array.fromAsync(store.readAll()))[123]!;
  const proof = await proveEvent(store, folder, positions[123]!);
  const refusedWith = (reason: SealError["reason"]) => (error: unknown) => {
    assert(error instanceof SealError && error.reason === reason, String(error));
    return true;
  };
  for (let at = 0; at < proof.length; at += 3) {
    const code = proof.charCodeAt(at);
    const changed = proof.slice(0, at) + String.fromCharCode(code === 65 ? 66 : 65) + proof.slice(at + 1);
    assert.throws(() => verifyProof(changed, { key, event }), SealError, `changed at ${at}`);
  }
  for (const end of [0, 10, proof.indexOf("\n\n"), proof.length - 5]) {
    assert.throws(() => verifyProof(proof.slice(0, end), { key }), SealError);
  }
  assert.throws(
    () => verifyProof(proof, { key: generateSealKey(ORIGIN).publicKey }),
    refusedWith("other-key"),
  );
  assert.throws(() => verifyProof(proof, { key, origin: "example.com/x" }), refusedWith("other-origin"));
  const others = [
    { data: null },
    { id: "x" },
    { version: 99 },
    { actorId: "x" },
    { eventType: "x" },
    {
      timestamp: "2020-01-01T00:00:00.000Z",
    },
    { metadata: { userId: "x" } },
    { position: "x" },
  ];
  for (const other of others) {
    assert.throws(() => verifyProof(proof, { key, event: { ...event, ...other } }), refusedWith("refused"));
  }
  assert.throws(() => verifyProof(proof, { key: [] }), InvalidArgumentError);
  assert.throws(() => verifyProof(5 as unknown as string, { key }), InvalidArgumentError);
});

Deno.test("proveEvent() proves what is sealed, and nothing else", async () => {
  await using store = new InMemoryEventStore();
  await using seal = await sealFixture();
  const { signer, folder, path } = seal;
  const positions = await fill(store, 300);
  await refusesWith("not-sealed", proveEvent(store, folder, positions[0]!));
  await sealOnce(store, folder, { signer });
  const [late] = await fill(store, 1);
  await refusesWith("not-sealed", proveEvent(store, folder, late!));
  await refusesWith("not-sealed", proveEvent(store, folder, "made up"));
  for (const at of [0, 1, 254, 255, 256, 257, 299]) {
    const position = positions[at]!; // also at the ends of bundles, and before and behind all of them
    for (const next of [position.slice(0, -1), `${position}0`]) {
      await refusesWith("not-sealed", proveEvent(store, folder, next));
    }
  }
  await assert.rejects(proveEvent(store, folder, 5 as unknown as string), InvalidArgumentError);

  await using forged = new InMemoryEventStore();
  await fill(forged, 300);
  await refusesWith(
    "other-log",
    proveEvent(forged, folder, positions[0]!).catch((error) => {
      // A position of another log is refused by the store itself.
      throw error instanceof SealError ? error : new SealError("other-log", String(error));
    }),
  );

  const tile = `${path}/tile/0/000`;
  const bytes = await Deno.readFile(tile);
  await Deno.writeFile(tile, bytes.with(40, bytes[40]! ^ 1));
  await refusesWith("damaged", proveEvent(store, new SealFolder(path), positions[0]!));
  await Deno.writeFile(tile, bytes);
  verifyProof(await proveEvent(store, new SealFolder(path), positions[0]!), { key: seal.key });
});

Deno.test("an event keeps the schema version that it was stored under, in its seal and its proof", async () => {
  await using seal = await sealFixture();
  const { signer, folder, key } = seal;
  await using store = new InMemoryEventStore({
    events: { OrderPlaced: { version: 2, upcast: [(data) => data] } },
  });
  const [event] = await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], {
    expectedVersion: 0,
  });
  await sealOnce(store, folder, { signer });
  const { schemaVersion } = verifyProof(await proveEvent(store, folder, event!.position), { key });
  assert.equal(schemaVersion, 2);
});
