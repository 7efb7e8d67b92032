import assert from "node:assert/strict";
import { BackendError, DenoKvEventStore, InvalidArgumentError, StoreOpenError } from "../../../mod.ts";
import { kvFolder } from "../../support/kv_file.ts";
import { readOnlyFolder, smallDisk } from "../../support/small_disk.ts";

const EVENT = { eventType: "E", data: { note: "x".repeat(200) } };

Deno.test("open() reports what is wrong with a file that is no database, a missing folder and a folder", async () => {
  await using folder = await kvFolder();
  await Deno.writeTextFile(folder.file, "this is not a database ".repeat(400));
  await assert.rejects(DenoKvEventStore.open(folder.file), (error) => {
    assert(error instanceof StoreOpenError);
    assert.match(error.message, /not a Deno KV database/);
    assert(error.cause instanceof Error);
    return true;
  });
  await assert.rejects(DenoKvEventStore.open(`${folder.path}/none/events.kv`), /its folder must exist/);
  await assert.rejects(DenoKvEventStore.open(folder.path), StoreOpenError);
});

Deno.test("open() refuses options out of range by name", async () => {
  const cases = {
    prefix: "",
    pollInterval: 0,
    saveTimeout: NaN,
    cachedActors: 10,
  };
  for (const [option, value] of Object.entries(cases)) {
    await assert.rejects(DenoKvEventStore.open(":memory:", { [option]: value }), (error) => {
      assert(error instanceof InvalidArgumentError);
      assert.equal(error.argument, `options.${option}`);
      return true;
    });
  }
  await assert.rejects(DenoKvEventStore.open(5 as unknown as string), /pathOrKv/);
});

/** Runs a program that opens a store, with flags of its own. */
async function open(flags: readonly string[], file: string): Promise<string> {
  const program = `
    import { DenoKvEventStore } from ${
    JSON.stringify(import.meta.resolve("../../../src/store/deno_kv/mod.ts"))
  };
    await DenoKvEventStore.open(${
    JSON.stringify(file)
  }).catch((error) => console.log(error.name + ": " + error.message));
  `;
  const script = `${file}.ts`;
  await Deno.writeTextFile(script, program);
  const args = ["run", "--no-config", "--no-prompt", ...flags, script];
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

Deno.test("without --unstable-kv, open() reports what to put into deno.json", async () => {
  await using folder = await kvFolder();
  assert.match(
    await open(["--allow-all"], folder.file),
    /^StoreOpenError: .*"unstable": \["kv"\].*--unstable-kv/,
  );
});

Deno.test("without permission, open() names the flags", async () => {
  await using folder = await kvFolder();
  const read = `--allow-read=${folder.path}`;
  assert.match(
    await open(["--unstable-kv", read], folder.file),
    /^StoreOpenError: .*--allow-read and --allow-write/,
  );
});

Deno.test("a handle closed behind the store's back is a BackendError, and nothing is stored", async () => {
  await using folder = await kvFolder();
  const kv = await Deno.openKv(folder.file);
  const store = await DenoKvEventStore.open(kv);
  await store.append("a", [EVENT], { expectedVersion: 0 });
  kv.close();
  const calls: (() => Promise<unknown>)[] = [
    () => store.append("a", [EVENT], { expectedVersion: 1 }),
    () => store.append("b", [EVENT], { expectedVersion: 0 }),
    () => store.getEvents("a"),
    () => Array.fromAsync(store.readAll()),
    () => store.getLatestVersion("a"),
    () => store.getLastPosition(),
    () => store.takeOver("a", 1),
  ];
  for (const call of calls) {
    await assert.rejects(call(), (error) => {
      assert(error instanceof BackendError, String(error));
      assert.match(error.message, /closed by its owner: close what uses it first/);
      return true;
    });
  }
  await store.close();
  await using again = await DenoKvEventStore.open(folder.file);
  assert.equal((await again.getEvents("a")).length, 1);
  assert.equal(await again.getLatestVersion("b"), 0);
});

Deno.test("a handle that was passed in stays open when the store is closed", async () => {
  using kv = await Deno.openKv(":memory:");
  {
    await using store = await DenoKvEventStore.open(kv);
    await store.append("a", [EVENT], { expectedVersion: 0 });
  }
  await using again = await DenoKvEventStore.open(kv);
  assert.equal((await again.getEvents("a")).length, 1);
});

Deno.test("close() lets saves in flight finish", async () => {
  await using folder = await kvFolder();
  const store = await DenoKvEventStore.open(folder.file);
  const saves = Array.from(
    { length: 300 },
    (_, n) => store.append(`a-${n % 150}`, [EVENT], { expectedVersion: "any" }),
  );
  await store.close();
  assert.equal((await Promise.all(saves)).length, 300);
  await using again = await DenoKvEventStore.open(folder.file);
  assert.equal((await Array.fromAsync(again.readAll())).length, 300);
});

Deno.test("a full disk is a BackendError; what was stored stays, and the store goes on when there is room", async () => {
  await using folder = await kvFolder();
  await using disk = await smallDisk(`${folder.path}/small`, "1m");
  if (!disk) return console.warn("NOT TESTED: a full disk; this user cannot mount a tmpfs");
  const filler = `${folder.path}/small/filler`;
  await Deno.writeFile(filler, new Uint8Array(300_000));
  await using store = await DenoKvEventStore.open(`${folder.path}/small/events.kv`);
  let stored = 0;
  const failure = await (async () => {
    for (; stored < 1_000; stored++) {
      await store.append("a", [{ eventType: "E", data: "x".repeat(20_000) }], { expectedVersion: stored });
    }
  })().catch((error: unknown) => error);
  assert(failure instanceof BackendError, String(failure));
  assert.match(failure.message, /disk is full/);
  assert.equal((await store.getEvents("a")).length, stored);
  assert.equal((await Array.fromAsync(store.readAll())).length, stored);
  await Deno.remove(filler);
  await store.append("a", [EVENT], { expectedVersion: stored });
  assert.equal(await store.getLatestVersion("a"), stored + 1);
});

Deno.test("a read-only file is refused with what to do, and can still be read", async () => {
  await using folder = await kvFolder();
  {
    await using store = await DenoKvEventStore.open(folder.file);
    await store.append("a", [EVENT], { expectedVersion: 0 });
  }
  await using readOnly = await readOnlyFolder(folder.path);
  if (!readOnly) return console.warn("NOT TESTED: a read-only file; this user cannot mount one");
  await assert.rejects(
    (async () => {
      await using store = await DenoKvEventStore.open(folder.file);
      await store.append("a", [EVENT], { expectedVersion: 1 });
    })(),
    (error) => {
      assert(error instanceof StoreOpenError || error instanceof BackendError, String(error));
      assert.match(error.message, /read-only|writable/);
      return true;
    },
  );
});
