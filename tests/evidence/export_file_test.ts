/** Exports to files: interrupted, continued, compressed, and on a disk that is full. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import {
  DenoKvEventStore,
  type EventInput,
  type EventStore,
  ExportError,
  exportEvents,
  importEvents,
  InMemoryEventStore,
  InvalidArgumentError,
  InvalidPositionError,
  JetStreamEventStore,
  verifyExport,
} from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { smallDisk } from "../support/small_disk.ts";

const ROOT = new URL("../../", import.meta.url);

async function fill(store: EventStore, from: number, to: number): Promise<void> {
  for (let order = from; order <= to; order++) await store.saveEvent(orderEvent(order));
}

/** The same in fewer commits, which a database flushes one by one. */
async function fillAtOnce(store: EventStore, to: number): Promise<void> {
  const { actorsPerCommit } = store.limits;
  for (let from = 1; from <= to; from += actorsPerCommit) {
    const length = Math.min(actorsPerCommit, to + 1 - from);
    await store.saveEvents(Array.from({ length }, (_, at) => orderEvent(from + at)));
  }
}

function orderEvent(order: number): EventInput {
  const data = { order, note: "n".repeat(200) };
  return { actorId: `order-${order}`, version: 1, eventType: "Placed", data };
}

async function folder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir({ prefix: "aether export " });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

async function namesIn(path: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(path), ({ name }) => name)).sort();
}

for (const compress of [false, true]) {
  Deno.test(`an export to a file goes on where it was interrupted${compress ? ", compressed" : ""}`, async () => {
    await using place = await folder();
    const path = `${place.path}/log.ndjson`;
    await using store = new InMemoryEventStore();
    await fill(store, 1, 3_000);
    const controller = new AbortController();
    const ending = exportEvents(store, path, {
      compress,
      signal: controller.signal,
      onProgress: ({ events }) => events >= 2_000 && controller.abort(new Error("enough")),
    });
    await assert.rejects(ending, /enough/);
    assert.deepEqual(await namesIn(place.path), ["log.ndjson.partial"]);
    await fill(store, 3_001, 3_100);
    const progress: [string, number][] = [];
    const report = await exportEvents(store, path, {
      compress,
      onProgress: ({ phase, events }) => progress.push([phase, events]),
    });
    assert.equal(report.events, 3_100);
    const [phase, continued] = progress[0]!;
    assert(phase === "comparing" && continued > 1_000 && continued < 3_000, `${phase} ${continued}`);
    assert.deepEqual(await namesIn(place.path), ["log.ndjson"]);
    assert.deepEqual(await verifyExport(path), report);
    await using target = new InMemoryEventStore();
    assert.equal((await importEvents(new URL(`file://${path}`), target)).imported, 3_100);
    const whole = await exportEvents(store, `${place.path}/again.ndjson`);
    assert.equal(whole.root, report.root);
  });
}

Deno.test("an export goes on after its process was killed, at any moment", async () => {
  await using place = await folder();
  const database = `${place.path}/events.kv`;
  await using store = await DenoKvEventStore.open(database);
  await fillAtOnce(store, 2_200);
  await store.takeOver("only-token", 5);
  const path = `${place.path}/log.ndjson`;
  const program = `
    import { DenoKvEventStore, exportEvents } from "${new URL("mod.ts", ROOT)}";
    const store = await DenoKvEventStore.open(Deno.args[0]);
    const onProgress = () => console.log("line");
    await exportEvents(store, Deno.args[1], { onProgress });
    await store.close();
  `;
  const script = `${place.path}/export.ts`;
  await Deno.writeTextFile(script, program);
  const args = ["run", "-A", `--config=${fileURLToPath(new URL("deno.json", ROOT))}`, script, database, path];
  for (const lines of [1, 1]) {
    const child = new Deno.Command(Deno.execPath(), { args, stdout: "piped", stderr: "inherit" }).spawn();
    const reader = child.stdout.getReader();
    for (let seen = 0; seen < lines;) {
      const { done, value } = await reader.read();
      if (done) break;
      seen += value.filter((byte) => byte === 10).length;
    }
    try {
      child.kill("SIGKILL");
    } catch {
      // it has ended
    }
    await reader.cancel();
    await child.status;
  }
  const report = await exportEvents(store, path).catch((error) => {
    // The second process may have been faster than the signal.
    assert(error instanceof InvalidArgumentError && error.argument === "target", String(error));
    return verifyExport(path);
  });
  assert.equal(report.events, 2_200);
  assert.deepEqual(await verifyExport(path), report);
  const [tokens] = (await Deno.readTextFile(path)).match(/"actorId":"only-token","token":5,"events":\[\]/) ??
    [];
  assert(tokens);
});

Deno.test("an import goes on after its process was killed in the middle", async () => {
  await using place = await folder();
  await using server = await startNatsServer();
  const path = `${place.path}/log.ndjson`;
  await using source = new InMemoryEventStore();
  await fillAtOnce(source, 3_000);
  await exportEvents(source, path);
  const script = `${place.path}/import.ts`;
  await Deno.writeTextFile(
    script,
    `
    import { DenoKvEventStore, importEvents, JetStreamEventStore } from "${new URL("mod.ts", ROOT)}";
    const [path, target] = Deno.args;
    const store = await (target.startsWith("nats:") ? JetStreamEventStore : DenoKvEventStore).open(target);
    const onProgress = ({ phase }) => {
      if (phase !== "writing") return;
      console.log(phase);
      for (;;); // until it is killed
    };
    await importEvents(path, store, { onProgress });
    await store.close();
  `,
  );
  const config = `--config=${fileURLToPath(new URL("deno.json", ROOT))}`;
  for (const target of [`${place.path}/events.kv`, server.url]) {
    const args = ["run", "-A", "--no-check", config, script, path, target];
    const child = new Deno.Command(Deno.execPath(), { args, stdout: "piped", stderr: "inherit" }).spawn();
    const reader = child.stdout.getReader();
    assert((await reader.read()).value, "it has not begun to write");
    child.kill("SIGKILL");
    await reader.cancel();
    await child.status;
    await using store = target === server.url
      ? await JetStreamEventStore.open(target)
      : await DenoKvEventStore.open(target);
    const { events, imported } = await importEvents(path, store);
    assert.equal(events, 3_000);
    assert(imported < 3_000, "nothing was stored before");
    assert.equal((await importEvents(path, store)).imported, 0);
  }
});

Deno.test("an export to a full disk ends with a typed error, keeps what is written, and goes on when there is room", async () => {
  await using place = await folder();
  await using disk = await smallDisk(`${place.path}/disk`, "512k");
  if (!disk) return await unwritableWithoutMount(place.path);
  const path = `${place.path}/disk/log.ndjson`;
  await using store = new InMemoryEventStore();
  await fill(store, 1, 3_000);
  const error = await exportEvents(store, path).catch((error) => error);
  assert(error instanceof ExportError && error.reason === "unwritable", String(error));
  await disk.resize("8m");
  let continued = 0;
  const report = await exportEvents(store, path, {
    onProgress: ({ phase, events }) => {
      if (phase === "comparing") continued = events;
    },
  });
  assert(continued > 500, String(continued));
  assert.equal(report.events, 3_000);
  assert.deepEqual(await verifyExport(path), report);
});

/** Without the right to mount: a device that is always full. */
async function unwritableWithoutMount(path: string): Promise<void> {
  await using store = new InMemoryEventStore();
  await fill(store, 1, 3_000);
  await Deno.symlink("/dev/full", `${path}/log.ndjson.partial`);
  const error = await exportEvents(store, `${path}/log.ndjson`).catch((error) => error);
  assert(error instanceof ExportError && error.reason === "unwritable", String(error));
}

Deno.test("an export refuses a path that is taken, a folder that is missing, and the rest of another export", async () => {
  await using place = await folder();
  const path = `${place.path}/log.ndjson`;
  await using store = new InMemoryEventStore();
  await fill(store, 1, 5);
  await exportEvents(store, path);
  await assert.rejects(exportEvents(store, path), InvalidArgumentError);
  await assert.rejects(exportEvents(store, `${place.path}/none/log.ndjson`), { reason: "unwritable" });
  await assert.rejects(exportEvents(store, 7 as never), InvalidArgumentError);
  await assert.rejects(exportEvents(store, path, { compres: true } as never), InvalidArgumentError);
  await Deno.rename(path, `${path}.partial`);
  await using other = new InMemoryEventStore();
  await fill(other, 1, 9);
  await assert.rejects(exportEvents(other, path), InvalidPositionError);
  await using elsewhere = new InMemoryEventStore({ namespace: "elsewhere" });
  await assert.rejects(exportEvents(elsewhere, path), InvalidArgumentError);
  const text = await Deno.readTextFile(`${path}.partial`);
  await Deno.writeTextFile(`${path}.partial`, text.replace('"order":3', '"order":4'));
  await assert.rejects(exportEvents(store, path), { reason: "changed", line: 4 });
  await Deno.writeTextFile(`${path}.partial`, "not an export\n");
  await assert.rejects(exportEvents(store, path), { reason: "not-an-export" });
  await Deno.remove(`${path}.partial`);
  assert.equal((await exportEvents(store, path)).events, 5);
});

Deno.test("two exports to one path at the same time: one is complete, and the other is refused", async () => {
  await using place = await folder();
  const path = `${place.path}/log.ndjson`;
  await using store = new InMemoryEventStore();
  await fill(store, 1, 500);
  const results = await Promise.allSettled([exportEvents(store, path), exportEvents(store, path)]);
  assert.deepEqual(results.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  const [refused] = results.filter((result) => result.status === "rejected");
  assert(refused!.reason instanceof InvalidArgumentError, String(refused!.reason));
  assert.equal((await verifyExport(path)).events, 500);
});

Deno.test("a file that is cut or changed is refused before anything is stored", async () => {
  await using place = await folder();
  const path = `${place.path}/log.ndjson`;
  await using store = new InMemoryEventStore();
  await fill(store, 1, 50);
  await exportEvents(store, path);
  const text = await Deno.readTextFile(path);
  await Deno.writeTextFile(path, text.slice(0, -300));
  await using target = new InMemoryEventStore();
  await assert.rejects(importEvents(path, target), { reason: "cut", line: 51 });
  assert.equal(await target.getLastPosition(), undefined);
});

Deno.test("an export of a long log, and its verification, need the memory of a few commits", async () => {
  const program = `
    import { exportEvents, InMemoryEventStore, verifyExport } from "${new URL("mod.ts", ROOT)}";
    const COUNT = 16_000;
    const used = () => (gc(), Deno.memoryUsage().heapUsed + Deno.memoryUsage().external);
    async function* readAll() {
      for (let version = 1; version <= COUNT; version++) {
        const data = { note: "n".repeat(1_000) + version };
        const position = String(version).padStart(9, "0");
        const timestamp = "2026-01-01T00:00:00.000Z";
        yield { id: "e" + version, eventType: "E", actorId: "a", version, timestamp, position, data };
      }
    }
    const before = used();
    let most = 0;
    const onProgress = ({ events }) => {
      if (events % 2_000 === 0) most = Math.max(most, used());
    };
    const { readable, writable } = new TransformStream();
    const bytes = { count: 0 };
    const counted = readable.pipeThrough(new TransformStream({
      transform(chunk, controller) {
        bytes.count += chunk.length;
        controller.enqueue(chunk);
      },
    }));
    await Promise.all([exportEvents({ readAll }, writable), verifyExport(counted, { onProgress })]);
    console.log(JSON.stringify({ mebibytes: (most - before) / 1024 / 1024, bytes: bytes.count }));
  `;
  await using place = await folder();
  await Deno.writeTextFile(`${place.path}/program.ts`, program);
  const config = `--config=${fileURLToPath(new URL("deno.json", ROOT))}`;
  const args = ["run", "-A", "--no-check", "--v8-flags=--expose-gc", config, `${place.path}/program.ts`];
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), { args }).output();
  assert(success, new TextDecoder().decode(stderr));
  const { bytes, mebibytes } = JSON.parse(new TextDecoder().decode(stdout));
  assert(bytes > 16 * 1024 * 1024, String(bytes));
  assert(mebibytes < 10, `${mebibytes} MiB`);
});
