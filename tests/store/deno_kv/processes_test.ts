import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import { DenoKvEventStore, type StoredEvent } from "../../../mod.ts";
import { kvFolder } from "../../support/kv_file.ts";

/** An acknowledged event: actor, version, id. */
type Acknowledged = [actorId: string, version: number, id: string];

/** A process that writes until it is killed. */
class Writer {
  readonly acknowledged: Acknowledged[] = [];
  readonly #process: Deno.ChildProcess;
  readonly #lines: Promise<void>;
  readonly #errors: Promise<string>;

  constructor(file: string, name: string, actors: number, mode: "own" | "shared") {
    const program = fileURLToPath(new URL("../../support/programs/kv_writer.ts", import.meta.url));
    const args = ["run", "--allow-all", "--no-check", program, file, name, String(actors), mode];
    this.#process = new Deno.Command(Deno.execPath(), { args, stdout: "piped", stderr: "piped" }).spawn();
    this.#lines = this.#read();
    this.#errors = new Response(this.#process.stderr).text();
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const text of this.#process.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.acknowledged.push(...JSON.parse(line) as Acknowledged[]);
    }
  }

  /** Waits until it has been acknowledged so many events. */
  async reaches(count: number): Promise<void> {
    for (let waited = 0; this.acknowledged.length < count; waited += 5) {
      if (waited > 60_000) {
        throw new Error(`the writer came to ${this.acknowledged.length} events in a minute`);
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Kills it with SIGKILL; fails if it had ended by itself before. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    const { signal } = await this.#process.status;
    await this.#lines;
    assert.equal(signal, "SIGKILL", await this.#errors);
    await this.#errors;
  }
}

/** Holds everything that is stored against what was acknowledged. */
async function check(file: string, acknowledged: readonly Acknowledged[]): Promise<StoredEvent[]> {
  await using store = await DenoKvEventStore.open(file);
  const report = await store.verify();
  assert.deepEqual(report.faults, []);
  const log = await Array.fromAsync(store.readAll());
  const byPlace = new Map(log.map((event) => [`${event.actorId} ${event.version}`, event.id]));
  assert.equal(byPlace.size, log.length, "no version of an actor twice");
  for (const [actorId, version, id] of acknowledged) {
    assert.equal(byPlace.get(`${actorId} ${version}`), id, `${actorId} ${version} was acknowledged`);
  }
  return log;
}

Deno.test("writers killed at random moments lose nothing that was acknowledged, and leave no part of a commit", async () => {
  await using folder = await kvFolder();
  const acknowledged: Acknowledged[] = [];
  for (let round = 1; round <= 5; round++) {
    const writer = new Writer(folder.file, "writer", 8, "own");
    await writer.reaches(round * 40);
    await writer.kill();
    acknowledged.push(...writer.acknowledged);
    const log = await check(folder.file, acknowledged);
    // A commit is two events each of two actors: all four, or none.
    const versions = new Map<string, number>();
    for (const { actorId, version } of log) versions.set(actorId, version);
    for (const [actorId, version] of versions) {
      assert.equal(version % 2, 0);
      if (actorId.endsWith("left")) assert.equal(versions.get(actorId.replace("left", "right")), version);
    }
  }
});

Deno.test("several processes append to the same actors: one winner a version, and a tailing reader misses nothing", async () => {
  await using folder = await kvFolder();
  await using store = await DenoKvEventStore.open(folder.file, { pollInterval: 5 });
  const seen: string[] = [];
  await using tail = store.subscribe();
  const tailing = (async () => {
    for await (const { position } of tail) seen.push(position);
  })();
  const writers = ["one", "two", "three"].map((name) => new Writer(folder.file, name, 3, "shared"));
  await Promise.all(writers.map((writer) => writer.reaches(300)));
  for (const writer of writers) await writer.kill();
  const acknowledged = writers.flatMap((writer) => writer.acknowledged);
  assert.equal(
    new Set(acknowledged.map(([actorId, version]) => `${actorId} ${version}`)).size,
    acknowledged.length,
  );
  const log = await check(folder.file, acknowledged);
  for (let waited = 0; seen.length < log.length && waited < 20_000; waited += 20) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await tail.close();
  await tailing;
  assert.deepEqual(seen, log.map(({ position }) => position));
});
