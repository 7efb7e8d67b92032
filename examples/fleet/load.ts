/**
 * Lets 20,000 devices report readings to the hosts of the fleet, each to any host, and checks the log afterwards: each
 * reading that was acknowledged is stored, and none is stored twice. Start it while `main.ts` runs in some terminals:
 *
 * ```sh
 * deno run --allow-net=127.0.0.1 examples/fleet/load.ts nats://127.0.0.1:4222 \
 *   http://127.0.0.1:8001 http://127.0.0.1:8002 http://127.0.0.1:8003
 * ```
 *
 * Options, before the URLs: `--devices=300` for fewer of them, and `--readings=10` for as many of each device.
 *
 * @module
 */
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import type { DeviceEvent } from "./device.ts";

const [natsUrl, ...hosts] = Deno.args.filter((argument) => !argument.startsWith("--")) as [
  string,
  ...string[],
];
const devices = option("devices", 20_000);
const readings = option("readings", 3);
/** How many devices report at once. */
const AT_ONCE = 64;
/** How long a request may take, in milliseconds; then it is sent to another host. */
const REQUEST_TIMEOUT = 10_000;
const RETRY_PAUSE = 100;
const total = devices * readings;

/** What was acknowledged: the key of each reading, and its value. */
const acknowledged = new Map<string, number>();
const run = crypto.randomUUID().slice(0, 8);

function option(name: string, standard: number): number {
  const given = Deno.args.find((argument) => argument.startsWith(`--${name}=`));
  return given === undefined ? standard : Number(given.slice(name.length + 3));
}

/** Sends a reading, to another host each time, until one acknowledges it. */
async function report(deviceId: string, key: string, reading: number): Promise<void> {
  for (let attempt = Math.floor(Math.random() * hosts.length);; attempt++) {
    const url = `${hosts[attempt % hosts.length]}/devices/${deviceId}/readings`;
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": key },
        body: JSON.stringify({ reading }),
        signal: AbortSignal.timeout(REQUEST_TIMEOUT),
      });
      const answer = await response.text();
      if (response.ok) break;
      if (response.status !== 503) throw new RangeError(`${response.status} ${answer}`);
    } catch (error) {
      if (error instanceof RangeError) throw error;
      // The host has ended, or is slow: another one takes the reading, under the same key.
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE));
  }
  acknowledged.set(key, reading);
  if (acknowledged.size % Math.ceil(total / 10) === 0) {
    console.log(`acknowledged ${acknowledged.size} of ${total}`);
  }
}

async function reportAll(): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < total) {
      const number = next++;
      const deviceId = `${run}-${number % devices}`;
      await report(deviceId, `${run}-${number}`, number % 1_000);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

/** Compares the log with what was acknowledged. The events of a command are named by it. */
async function check(): Promise<boolean> {
  await using store = await JetStreamEventStore.open<DeviceEvent>(natsUrl);
  const stored = new Map<string, number>();
  let doubled = 0;
  for await (const { id, actorId, data } of store.readAll()) {
    if (!actorId.startsWith(`device-${run}-`)) continue;
    const key = id.slice(0, id.lastIndexOf("/"));
    if (stored.has(key)) doubled++;
    stored.set(key, data.reading);
  }
  const lost = [...acknowledged].filter(([key, reading]) => stored.get(key) !== reading).length;
  console.log(`${acknowledged.size} acknowledged, ${stored.size} stored, ${lost} lost, ${doubled} doubled`);
  return lost === 0 && doubled === 0 && stored.size === acknowledged.size;
}

await reportAll();
if (!await check()) Deno.exit(1);
