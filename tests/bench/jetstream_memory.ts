/**
 * The resident memory of a store that knows many actors, and of one that reads a long log. Run as a program, it measures
 * itself.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { NatsConnection } from "../../src/nats/connection.ts";
import { connectTo } from "../../src/nats/connect.ts";
import { JetStreamEventStore } from "../../src/store/jetstream/mod.ts";
import { concurrently } from "./harness.ts";
import { event } from "./jetstream_raw.ts";

const MEBIBYTE = 1024 * 1024;
/** How many saves, to a hundred actors, come before it is measured, so that code and young generation are there. */
const FIRST = 20_000;

/** By how much the memory of a new process grows with a number of actors in its store's cache, in MiB. */
export function memoryOf(url: string, namespace: string, actors: number): Promise<number> {
  return measured("actors", url, namespace, actors);
}

/** By how much the memory of a new process grows while it reads a log of so many events, at its greatest, in MiB. */
export function memoryOfReading(url: string, namespace: string, events: number): Promise<number> {
  return measured("reading", url, namespace, events);
}

async function measured(what: string, url: string, namespace: string, count: number): Promise<number> {
  const program = fileURLToPath(import.meta.url);
  const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
  const args = ["run", "--allow-all", "--no-check", "--quiet", "--config", config, program];
  const command = new Deno.Command(Deno.execPath(), { args: [...args, what, url, namespace, String(count)] });
  const { success, stdout, stderr } = await command.output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return Number(new TextDecoder().decode(stdout));
}

/** A connection that counts the messages that are asked for. */
function counting(connection: NatsConnection): { readonly connection: NatsConnection; reads: number } {
  const counted = {
    reads: 0,
    connection: new Proxy(connection, {
      get(target, name): unknown {
        const value: unknown = Reflect.get(target, name);
        if (name !== "publish") return typeof value === "function" ? value.bind(target) : value;
        return (...[subject, data, options]: Parameters<NatsConnection["publish"]>): void => {
          if (subject.startsWith("$JS.API.STREAM.MSG.GET.")) counted.reads++;
          target.publish(subject, data, options);
        };
      },
    }),
  };
  return counted;
}

/** Writes to actors, each of which is known from then on; the growth of this process meanwhile, in MiB. */
async function measure(url: string, namespace: string, actors: number): Promise<number> {
  const connection = await connectTo(url);
  const counted = counting(connection);
  const store = await JetStreamEventStore.open(counted.connection, { namespace });
  const write = (actorOf: (index: number) => string, saves: number): Promise<void> =>
    concurrently(
      saves,
      256,
      (index) => store.append(actorOf(index), [event(index)], { expectedVersion: "any" }),
    );
  await write((index) => `first-${index % 100}`, FIRST);
  const before = Deno.memoryUsage().rss;
  await write((index) => `actor-${index}`, actors);
  const growth = (Deno.memoryUsage().rss - before) / MEBIBYTE;
  const position = (await store.getLastPosition())!;
  assert.equal(parseInt(position.slice(13, 27), 16), FIRST + actors);
  // They are known: of an actor that is not, the store would have to read how far it is.
  counted.reads = 0;
  await write((index) => `actor-${index * 100}`, actors / 100);
  assert(counted.reads < 10, `${counted.reads} reads`);
  await store.close();
  await connection.close();
  return growth;
}

/** Reads a whole log; the growth of this process meanwhile, from after the first events on, in MiB. */
async function measureReading(url: string, namespace: string, events: number): Promise<number> {
  await using store = await JetStreamEventStore.open(url, { namespace });
  const first = Math.min(FIRST, events / 10);
  let before = 0;
  let most = 0;
  let read = 0;
  for await (const { version } of store.readAll()) {
    assert(version > 0);
    if (++read < first || read % 1_000 !== 0) continue;
    const { rss } = Deno.memoryUsage();
    before ||= rss;
    most = Math.max(most, rss - before);
  }
  assert.equal(read, events);
  return most / MEBIBYTE;
}

if (import.meta.main) {
  const [what, url, namespace, count] = Deno.args;
  const measurement = what === "reading" ? measureReading : measure;
  console.log(await measurement(url!, namespace!, Number(count)));
}
