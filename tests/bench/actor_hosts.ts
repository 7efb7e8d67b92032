/**
 * Actors in other processes: calls over NATS, a shard that moves, a host that is killed. Run as a program it is a host: its
 * arguments are a server's URL and the node's name.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { ActorClient, ActorHost, defineActor } from "../../src/actor/mod.ts";
import { Coordinator } from "../../src/cluster/mod.ts";
import { JetStreamEventStore } from "../../src/store/jetstream/mod.ts";
import { type Counted, counter } from "../actor/counter.ts";
import { sleep } from "../../src/sleep.ts";
import { concurrently } from "./harness.ts";

/** How long a lease lasts, in ms. */
export const TTL = 2_000;
const ECHO = "bench.echo";
const SHARDS = 16;
/** How long calls go on before and after a move, in ms. */
const CALM = 250;

/** Counters with a snapshot policy, as actors that are called this often have: a load reads at most 100 events. */
export const counters = defineActor("counter", {
  decider: { ...counter.decider, snapshot: { kind: "sum", schemaVersion: 1 } },
  queries: counter.queries,
});

if (import.meta.main) await host(...Deno.args as [string, string]);

/** Is a host until its standard input ends; a line there drains it, or takes that back. */
async function host(url: string, name: string): Promise<void> {
  const connection = await connect({ servers: url });
  connection.subscribe(ECHO, { callback: (_, message) => void message.respond(message.data) });
  const store = await JetStreamEventStore.open<Counted>(url);
  const coordinator = await Coordinator.join(url, { name, shardCount: SHARDS, ttl: TTL, maxClockSkew: 200 });
  const host = await ActorHost.start({ store, actors: [counters], cluster: { coordinator, connection } });
  void (async () => {
    let before = -1;
    for (;;) {
      const owned = [...coordinator.shards].length;
      if (owned !== before) console.log(owned);
      before = owned;
      await sleep(5);
    }
  })();
  for await (const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    coordinator.drain(line.startsWith("drain"));
  }
  await coordinator.leave();
  await host.close();
  await store.close();
  await connection.close();
  Deno.exit();
}

/** A host in a process of its own. */
export class HostProcess {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<void>;
  /** How many shards it has. */
  owned = 0;

  constructor(url: string, name: string) {
    const program = fileURLToPath(import.meta.url);
    const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
    const args = ["run", "--allow-all", "--no-check", "--quiet", "--config", config, program, url, name];
    const pipes = { stdin: "piped", stdout: "piped", stderr: "null" } as const;
    this.#process = new Deno.Command(Deno.execPath(), { args, ...pipes }).spawn();
    this.#input = this.#process.stdin.getWriter();
    this.#reading = this.#read(this.#process.stdout);
  }

  async #read(output: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const text of output.pipeThrough(new TextDecoderStream())) {
      this.owned = Number(text.trim().split("\n").at(-1));
    }
  }

  /** Waits until it has so many shards. */
  async owns(isEnough: (shards: number) => boolean): Promise<void> {
    while (!isEnough(this.owned)) await sleep(2);
  }

  /** Asks it to give its shards to others, or to take shards again. */
  async drain(isDraining: boolean): Promise<void> {
    await this.#input.write(new TextEncoder().encode(isDraining ? "drain\n" : "stay\n"));
  }

  /** Ends it, in order or at once. */
  async end(isKilled = false): Promise<void> {
    if (isKilled) this.#process.kill("SIGKILL");
    await this.#input.close().catch(() => {});
    await this.#process.status;
    await this.#reading;
  }
}

const IDS: readonly string[] = Array.from({ length: 64 }, (_, index) => `counter-${index}`);

/** How fast something is done so many times. */
export type Pace = (count: number, work: () => Promise<unknown>) => Promise<number>;

/** How many queries a client gets answered by a host in another process. */
export async function remoteQueries(
  pace: Pace,
  client: ActorClient,
  count: number,
  inFlight: number,
): Promise<number> {
  const actors = IDS.map((id) => client.get(counters, id));
  return await pace(
    count,
    () => concurrently(count, inFlight, (index) => actors[index % actors.length]!.query("sum")),
  );
}

/** How many requests the stock client gets answered by an echo in another process. */
export async function stockRequests(
  pace: Pace,
  connection: NatsConnection,
  count: number,
  inFlight: number,
): Promise<number> {
  const payload = new TextEncoder().encode(
    JSON.stringify({ actor: "counter-1", query: "sum", timeout: 5_000 }),
  );
  return await pace(
    count,
    () => concurrently(count, inFlight, () => connection.request(ECHO, payload, { timeout: 5_000 })),
  );
}

/** The 99th percentile of the time of calls while all shards of one host move to another, and back, in ms. */
export async function movedCalls(url: string, moves: number): Promise<number> {
  const [first, second] = [new HostProcess(url, "a"), new HostProcess(url, "b")];
  await first.owns((shards) => shards === SHARDS / 2);
  await second.owns((shards) => shards === SHARDS / 2);
  await using client = await ActorClient.connect(url, { actors: [counters] });
  const actors = IDS.map((id) => client.get(counters, id));
  for (const actor of actors) await actor.call(1, { timeout: 30_000 });
  const times: number[] = [];
  let isOver = false;
  const load = actors.map(async (actor) => {
    while (!isOver) {
      const begun = performance.now();
      await actor.call(1);
      times.push(performance.now() - begun);
      await sleep(10);
    }
  });
  for (let move = 0; move <= moves; move++) {
    if (move === 1) times.length = 0; // the first one only compiles the code that loads actors
    await first.drain(true);
    await first.owns((shards) => shards === 0);
    await second.owns((shards) => shards === SHARDS);
    await sleep(CALM);
    await first.drain(false);
    await first.owns((shards) => shards === SHARDS / 2);
    await sleep(CALM);
  }
  isOver = true;
  await Promise.all(load);
  await Promise.all([first.end(), second.end()]);
  assert(times.length > 300, `only ${times.length} calls`);
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)]!;
}

/** From the death of a host until each of its actors answers again, in ms. */
export async function failOver(url: string): Promise<number> {
  const [first, second] = [new HostProcess(url, "a"), new HostProcess(url, "b")];
  await first.owns((shards) => shards === SHARDS / 2);
  await second.owns((shards) => shards === SHARDS / 2);
  await using client = await ActorClient.connect(url, { actors: [counters] });
  const actors = IDS.map((id) => client.get(counters, id));
  await Promise.all(actors.map((actor) => actor.call(1, { timeout: 30_000 })));
  const begun = performance.now();
  await first.end(true);
  await Promise.all(actors.map((actor) => actor.call(1, { timeout: 30_000 })));
  const time = performance.now() - begun;
  await second.end();
  return time;
}
