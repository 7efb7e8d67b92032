import assert from "node:assert/strict";
import { InvalidArgumentError } from "../../src/errors.ts";
import { connectTo } from "../../src/nats/connect.ts";
import { createInbox } from "../../src/nats/connection.ts";
import { CredentialsRejectedError, ServerUnreachableError } from "../../src/nats/errors.ts";
import { startNatsServer } from "../support/nats_server.ts";

Deno.test("connectTo() takes nats: and ws: URLs, lists, and servers without a scheme", async () => {
  await using server = await startNatsServer({ websocket: true });
  const dead = "nats://127.0.0.1:1";
  for (
    const url of [
      server.url,
      server.websocketUrl,
      `127.0.0.1:${server.port}`,
      [dead, server.url],
      `${dead},${server.url}`,
    ]
  ) {
    const connection = await connectTo(url);
    await connection.flush();
    assert.equal(connection.info?.server_name, server.name);
    await connection.close();
  }
});

Deno.test("connectTo() uses the credentials of the URL, and rejects wrong ones without dying of them", async () => {
  await using server = await startNatsServer({
    websocket: true,
    config: { authorization: { users: [{ user: "u", password: "p@ss" }] } },
  });
  for (const url of [server.url, server.websocketUrl]) {
    const right = await connectTo(url.replace("://", "://u:p%40ss@"));
    await right.close();
    const given = await connectTo(url, { client: { user: "u", pass: "p@ss" } });
    await given.close();
    // A server that closes while the client writes resets the connection now and then: hence so often.
    for (let i = 0; i < 100; i++) {
      await assert.rejects(connectTo(url.replace("://", "://u:wrong@")), (error) => {
        assert(error instanceof CredentialsRejectedError);
        assert.doesNotMatch(error.message, /wrong/);
        return true;
      });
    }
  }
});

Deno.test("connectTo() rejects with ServerUnreachableError where nobody, or no NATS server, listens", async () => {
  await assert.rejects(connectTo("nats://127.0.0.1:1"), ServerUnreachableError);
  await assert.rejects(connectTo("ws://127.0.0.1:1"), ServerUnreachableError);
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const start = performance.now();
  await assert.rejects(connectTo(`nats://127.0.0.1:${silent.addr.port}`), ServerUnreachableError);
  assert(performance.now() - start < 20_000);
});

Deno.test("connectTo() refuses what is no server URL", async () => {
  for (const url of ["", "http://127.0.0.1", "nats://", ["ws://127.0.0.1:1", "nats://127.0.0.1:1"], []]) {
    await assert.rejects(connectTo(url), InvalidArgumentError);
  }
});

Deno.test("createInbox() lies below the connection's inbox prefix", async () => {
  await using server = await startNatsServer();
  const connection = await connectTo(server.url, { inboxPrefix: "_INBOX_app" });
  assert.match(createInbox(connection), /^_INBOX_app\.[0-9a-f]{32}$/);
  assert.notEqual(createInbox(connection), createInbox(connection));
  await connection.close();
});
