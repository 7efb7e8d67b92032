import assert from "node:assert/strict";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import type { DeviceEvent } from "../../examples/fleet/device.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { pathOf, Service } from "./service_process.ts";

const DEVICES = 300;
const READINGS = 10;

/** Starts a host with the permissions that it names to its reader. */
async function startHost(natsUrl: string): Promise<Service> {
  return await Service.start({
    args: ["run", "--allow-net=127.0.0.1", "--allow-env=NATS_URL,PORT", pathOf("examples/fleet/main.ts")],
    cwd: pathOf("."),
    env: { PORT: "0", NATS_URL: natsUrl },
  });
}

function startLoad(natsUrl: string, hosts: readonly Service[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--allow-net=127.0.0.1",
      pathOf("examples/fleet/load.ts"),
      `--devices=${DEVICES}`,
      `--readings=${READINGS}`,
      natsUrl,
      ...hosts.map(({ url }) => url),
    ],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
}

Deno.test("examples/fleet: a host is killed under load, and each acknowledged reading is stored once", async () => {
  await using server = await startNatsServer();
  const [first, second, third] = await Promise.all([1, 2, 3].map(() => startHost(server.url)));
  await using _first = first!;
  await using victim = second!;
  await using last = third!;

  const report = async (service: Service, reading: unknown, key = "once"): Promise<[number, unknown]> => {
    const { status, body } = await service.ask("POST", "/devices/one/readings", { reading }, {
      "idempotency-key": key,
    });
    return [status, body?.["reports"]];
  };
  for (const service of [first!, victim, last]) {
    assert.deepEqual(await report(service, 7), [200, 1], "any host takes it, and it counts once");
    assert.deepEqual(await report(service, 1_001, "other"), [409, undefined]);
    assert.deepEqual(await report(service, "7", "other"), [400, undefined]);
    assert.deepEqual((await service.ask("GET", "/devices/one")).body, { reports: 1, sum: 7, highest: 7 });
  }

  const load = startLoad(server.url, [first!, victim, last]);
  let output = "";
  let acknowledgedAtKill = 0;
  for await (const text of load.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    if (acknowledgedAtKill > 0 || !output.includes("acknowledged")) continue;
    await victim.end("SIGKILL");
    acknowledgedAtKill = Number(/acknowledged (\d+) of/.exec(output)?.[1]);
  }
  assert.equal((await load.status).code, 0, output);
  const total = DEVICES * READINGS;
  assert(acknowledgedAtKill < total / 2, "it was killed in the middle");
  assert.match(output, new RegExp(`${total} acknowledged, ${total} stored, 0 lost, 0 doubled`));

  await using store = await JetStreamEventStore.open<DeviceEvent>(server.url);
  const events = await Array.fromAsync(store.readAll());
  assert.equal(events.length, total + 1);
  assert.equal(new Set(events.map(({ id }) => id)).size, total + 1);
  assert.equal((await store.verify()).ok, true);

  const [ended] = await Promise.all([first!.end("SIGTERM"), report(last, 7)]);
  assert.equal(ended, 0);
  assert.deepEqual(await report(last, 8, "another"), [200, 2], "the last host has all devices");
  assert.equal(await last.end("SIGTERM"), 0);
});
