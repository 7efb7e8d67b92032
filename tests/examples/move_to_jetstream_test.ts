import assert from "node:assert/strict";
import { DenoKvEventStore, JetStreamEventStore } from "@flowmade-one/aether";
import { kvFolder } from "../support/kv_file.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { pathOf, PENS, placeOrder, startWebService } from "./service_process.ts";
import { decode, type ProgramOutput } from "./start_program.ts";

/** Starts the program with the permissions that it tells its reader to give. */
function spawn(folder: string, natsUrl: string): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--config",
      pathOf("deno.json"),
      "--allow-read=orders.kv",
      "--allow-write=orders.kv",
      `--allow-net=${new URL(natsUrl).host}`,
      pathOf("examples/move_to_jetstream.ts"),
      "orders.kv",
      natsUrl,
    ],
    cwd: folder,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function move(folder: string, natsUrl: string): Promise<ProgramOutput> {
  return decode(await spawn(folder, natsUrl).output());
}

/** Kills it as soon as it copies. */
async function moveAndKill(folder: string, natsUrl: string): Promise<void> {
  const program = spawn(folder, natsUrl);
  const errors = new Response(program.stderr).text();
  let output = "";
  for await (const text of program.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    if (!output.includes("copying")) continue;
    try {
      program.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it had ended by itself
    }
  }
  await program.status;
  assert.equal(await errors, "");
}

Deno.test("examples/move_to_jetstream.ts: a service moves, killed on the way, and answers as before", async () => {
  await using folder = await kvFolder();
  await using server = await startNatsServer();
  const file = `${folder.path}/orders.kv`;
  let path: string;
  {
    await using service = await startWebService(folder.path);
    path = await placeOrder(service, "before the move");
    await service.ask("POST", `${path}/payment`, { amount: 450 });
    assert.equal(await service.end("SIGTERM"), 0);
  }
  {
    await using store = await DenoKvEventStore.open(file);
    await Promise.all(Array.from({ length: 1_000 }, async (_, number) => {
      for (let version = 0; version < 20; version += 5) {
        const events = Array.from(
          { length: 5 },
          (_, part) => ({ eventType: "OrderPaid", data: { amount: part } }),
        );
        await store.append(`old.${number}`, events, { expectedVersion: version });
      }
    }));
  }
  for (let round = 0; round < 3; round++) await moveAndKill(folder.path, server.url);
  const moved = await move(folder.path, server.url);
  assert.deepEqual([moved.code, moved.stderr], [0, ""]);
  assert.match(moved.stdout, /20002 events are in JetStream as they were in orders\.kv/);
  {
    await using from = await DenoKvEventStore.open(file);
    await using to = await JetStreamEventStore.open(server.url);
    const expected = from.readAll()[Symbol.asyncIterator]();
    for await (const { position: _, ...event } of to.readAll()) {
      const { position: __, ...original } = (await expected.next()).value;
      assert.deepEqual(event, original);
    }
    assert.equal((await expected.next()).done, true);
  }
  {
    await using service = await startWebService(folder.path, server.url);
    assert.equal((await service.ask("GET", path)).etag, '"2"');
    assert.equal(await placeOrder(service, "before the move"), path);
    assert.notEqual(await placeOrder(service, "behind the move", { ...PENS, customer: "Bob" }), path);
  }
  // What JetStream has by now is more than a copy: the program leaves it alone.
  const again = await move(folder.path, server.url);
  assert.notEqual(again.code, 0);
  assert.match(again.stderr, /CopyError[\s\S]*target-differs/);
});

Deno.test("examples/move_to_jetstream.ts does not call it done while the service still writes", async () => {
  await using folder = await kvFolder();
  await using server = await startNatsServer();
  await using store = await DenoKvEventStore.open(`${folder.path}/orders.kv`);
  let writes = 0;
  const write = async (): Promise<void> => {
    const events = Array.from(
      { length: 50 },
      (_, part) => ({ eventType: "OrderPaid", data: { amount: part } }),
    );
    await store.append(`order.${writes++}`, events, { expectedVersion: 0 });
  };
  while (writes < 100) await write();
  /** Moves while it writes; the machine may be so slow that nothing comes in between: then once more. */
  const moveWhileWriting = async (attemptsLeft: number): Promise<ProgramOutput> => {
    let isMoving = true;
    const moving = move(folder.path, server.url).finally(() => isMoving = false);
    const writing = async (): Promise<void> => {
      while (isMoving) await write();
    };
    const [output] = await Promise.all([moving, writing()]);
    return output.code === 0 && attemptsLeft > 0 ? await moveWhileWriting(attemptsLeft - 1) : output;
  };
  const { code, stderr } = await moveWhileWriting(10);
  assert.equal(code, 1);
  assert.match(stderr, /^The source grew while it was copied: \d+ events are in both stores/);
  const again = await move(folder.path, server.url);
  assert.equal(again.code, 0);
  assert.match(again.stdout, new RegExp(`^${writes * 50} events are in JetStream`, "m"));
});

Deno.test("examples/move_to_jetstream.ts prints how it is used", async () => {
  const args = [
    "run",
    "--quiet",
    "--no-prompt",
    "--config",
    pathOf("deno.json"),
    pathOf("examples/move_to_jetstream.ts"),
  ];
  const { code, stderr } = decode(await new Deno.Command(Deno.execPath(), { args }).output());
  assert.equal(code, 2);
  assert.match(stderr, /^usage: /);
});
