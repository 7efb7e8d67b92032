import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { connect } from "@nats-io/transport-node";
import { wsconnect } from "@nats-io/nats-core";
import { jetstreamManager } from "@nats-io/jetstream";
import { startNatsCluster, startNatsServer } from "./nats_server.ts";
import { PATIENT } from "./patient.ts";

const windows = Deno.build.os === "windows"; // no SIGSTOP there

function exists(path: string): Promise<boolean> {
  return Deno.stat(path).then(() => true, () => false);
}

function alive(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGCONT"); // harmless to a running process
    return true;
  } catch {
    return false;
  }
}

Deno.test("startNatsServer() gives JetStream on file storage and leaves nothing behind", async () => {
  let pid: number;
  let folder: string;
  {
    await using server = await startNatsServer();
    await using connection = await connect({ servers: server.url });
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: "S", subjects: ["s.>"] });
    assert.equal((await manager.streams.info("S")).config.storage, "file");
    assert(await exists(`${server.storageFolder}/$G/streams/S`));
    ({ pid, storageFolder: folder } = server);
  }
  assert.equal(alive(pid), false);
  assert.equal(await exists(dirname(folder)), false);
});

Deno.test("startNatsServer() applies its options", async () => {
  await using server = await startNatsServer({
    websocket: true,
    syncInterval: "always",
    maxPayload: 65_536,
    jetstream: { max_file_store: 1_000_000 },
    config: {
      accounts: { A: { jetstream: "enabled", users: [{ user: "alice", password: 'p"\\w' }] } },
    },
    configText: "write_deadline: 7s",
  });
  await assert.rejects(
    wsconnect({ servers: server.websocketUrl, reconnect: false }),
    /Authorization Violation/,
  );
  for (const [open, servers] of [[connect, server.url], [wsconnect, server.websocketUrl]] as const) {
    await using connection = await open({ servers, user: "alice", pass: 'p"\\w' });
    assert.equal(connection.info?.max_payload, 65_536);
  }
  const varz = await (await fetch(`${server.monitoringUrl}/varz`)).json();
  assert.equal(varz.jetstream.config.sync_always, true);
  assert.equal(varz.jetstream.config.max_storage, 1_000_000);
  assert.equal(varz.write_deadline, 7_000_000_000);
});

Deno.test("startNatsServer() rejects with why the server did not start", async () => {
  await assert.rejects(startNatsServer({ configText: "no_such_thing {" }), /n1-\w+ ended: .*Parse error/);
});

Deno.test("websocketUrl throws without the option", async () => {
  await using server = await startNatsServer();
  assert.throws(() => server.websocketUrl, /started without websocket/);
});

Deno.test("NatsServer: kill() and restart() keep the port and what was stored", async () => {
  await using server = await startNatsServer();
  const { url, pid } = server;
  {
    await using connection = await connect({ servers: url });
    await (await jetstreamManager(connection)).streams.add({ name: "S", subjects: ["s.>"] });
    const answer = await connection.request("s.1", "kept", PATIENT);
    assert.equal(answer.json<{ seq: number }>().seq, 1);
  }
  await server.kill();
  assert.equal(alive(pid), false);
  assert.throws(() => server.pid, /not running/);
  await assert.rejects(connect({ servers: url, reconnect: false }));
  await server.restart();
  assert.equal(server.url, url);
  assert.notEqual(server.pid, pid);
  {
    await using connection = await connect({ servers: url });
    const kept = await (await jetstreamManager(connection)).streams.getMessage("S", { seq: 1 });
    assert.equal(kept?.string(), "kept");
  }
  await server.shutdown();
  assert.match(await server.log(), /Initiating Shutdown/);
});

Deno.test("NatsServer: suspend() silences the server until resume()", { ignore: windows }, async () => {
  await using server = await startNatsServer();
  const connection = await connect({ servers: server.url });
  await connection.flush();
  await server.suspend();
  let flushed = false;
  const flush = connection.flush().then(() => flushed = true);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(flushed, false);
  server.resume();
  await flush;
  await connection.close();
  await server.suspend(); // a suspended server can be stopped too
});

for (const end of ["is killed", "exits"]) {
  Deno.test(
    `A server and its folder go when the process that started it ${end}`,
    { ignore: windows },
    async () => {
      const program = `
    import { startNatsServer } from ${JSON.stringify(new URL("./nats_server.ts", import.meta.url).href)};
    const server = await startNatsServer();
    console.log(JSON.stringify([server.pid, server.storageFolder]));
    ${end === "exits" ? "Deno.exit(1)" : "setTimeout(() => {}, 60_000)"};
  `;
      const file = await Deno.makeTempFile({ suffix: ".ts" });
      await Deno.writeTextFile(file, program);
      const child = new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--no-lock",
          "--allow-all",
          "--config",
          fileURLToPath(new URL("../../deno.json", import.meta.url)),
          file,
        ],
        stdout: "piped",
        stderr: "null",
      }).spawn();
      const reader = child.stdout.getReader();
      const { value } = await reader.read();
      const [pid, folder] = JSON.parse(new TextDecoder().decode(value)) as [number, string];
      if (end === "is killed") {
        assert.equal(alive(pid), true);
        child.kill("SIGKILL");
      }
      await child.status;
      await reader.cancel();
      await Deno.remove(file);
      const deadline = performance.now() + 20_000;
      while (alive(pid) || await exists(dirname(folder))) {
        assert(performance.now() < deadline, "the server outlived its process");
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
  );
}

Deno.test("startNatsCluster() is one JetStream over three servers and survives its leader's death", async () => {
  await using cluster = await startNatsCluster(3);
  assert.equal(new Set(cluster.urls).size, 3);
  const meta = await cluster.metaLeader();
  assert(meta && cluster.servers.includes(meta));
  const until = async <T>(what: string, poll: () => Promise<T | undefined>): Promise<T> => {
    const deadline = performance.now() + 60_000;
    while (true) {
      const result = await poll();
      if (result !== undefined) return result;
      assert(performance.now() < deadline, what);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  {
    await using connection = await connect({ servers: cluster.urls });
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: "R3", subjects: ["r.>"], num_replicas: 3 });
    // The interest of the stream's leader reaches the other servers a little later: no responders until then.
    await until("the stream takes messages", () => connection.request("r.1", "one").catch(() => undefined));
  }
  const leader = await until("a leader", () => cluster.streamLeader("R3"));
  await leader.kill();
  const next = await until("another leader", () => cluster.streamLeader("R3"));
  assert.notEqual(next, leader);
  await leader.restart();
  await using connection = await connect({ servers: leader.url });
  const kept = await (await jetstreamManager(connection)).streams.getMessage("R3", { seq: 1 });
  assert.equal(kept?.string(), "one");
});

Deno.test("Servers started at once do not collide", async () => {
  await using stack = new AsyncDisposableStack();
  const servers = await Promise.all(Array.from({ length: 6 }, () => startNatsServer()));
  for (const server of servers) stack.use(server);
  assert.equal(new Set(servers.map((server) => server.url)).size, 6);
});

Deno.test("NatsCluster.isolate() cuts a leader off from the others, and from nothing else", async () => {
  await using cluster = await startNatsCluster(3, { isolable: true });
  const leader = await cluster.metaLeader();
  assert(leader !== undefined);
  await using connection = await connect({ servers: leader.url });
  await cluster.isolate(leader);
  const others = cluster.servers.filter((server) => server !== leader);
  const deadline = performance.now() + 60_000;
  while (true) {
    const claims = await Promise.all(
      others.map(async (server) => (await server.jetStream()).meta_cluster?.leader),
    );
    if (others.some((server, index) => claims[index] === server.name)) break;
    assert(performance.now() < deadline, "the others elected no leader");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await connection.flush(); // its clients still reach it
  cluster.rejoin(leader);
  await leader.ready();
  const unprepared = await startNatsCluster(2);
  await assert.rejects(unprepared.isolate(unprepared.servers[0]!), /isolable/);
  await unprepared.stop();
});
