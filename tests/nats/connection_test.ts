import assert from "node:assert/strict";
import { BackendError, InvalidArgumentError } from "../../src/errors.ts";
import { connectTo } from "../../src/nats/connect.ts";
import { createInbox } from "../../src/nats/connection.ts";
import { refusalOf } from "../../src/nats/refusals.ts";
import { until } from "../support/until.ts";
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
        assert(error instanceof BackendError && error.reason === "denied");
        assert.doesNotMatch(error.message, /wrong/);
        return true;
      });
    }
  }
});

Deno.test("connectTo() rejects as unreachable if no server, or no NATS server, listens", async () => {
  await assert.rejects(connectTo("nats://127.0.0.1:1"), { name: "BackendError", reason: "unreachable" });
  await assert.rejects(connectTo("ws://127.0.0.1:1"), { name: "BackendError", reason: "unreachable" });
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const start = performance.now();
  await assert.rejects(connectTo(`nats://127.0.0.1:${silent.addr.port}`), {
    name: "BackendError",
    reason: "unreachable",
  });
  assert(performance.now() - start < 20_000);
});

Deno.test("connectTo() refuses what is no server URL", async () => {
  for (const url of ["", "http://127.0.0.1", "nats://", ["ws://127.0.0.1:1", "nats://127.0.0.1:1"], []]) {
    await assert.rejects(connectTo(url), InvalidArgumentError);
  }
});

Deno.test("createInbox() returns a subject below the connection's inbox prefix", async () => {
  await using server = await startNatsServer();
  const connection = await connectTo(server.url, { inboxPrefix: "_INBOX_app" });
  assert.match(createInbox(connection), /^_INBOX_app\.[0-9a-f]{32}$/);
  assert.notEqual(createInbox(connection), createInbox(connection));
  await connection.close();
});

Deno.test("connectTo() takes user, token and nkey directly, and a password with % and / in the URL", async () => {
  const { nkeys } = await import("@nats-io/nats-core");
  const user = nkeys.createUser();
  const nkey = new TextDecoder().decode(user.getSeed());
  await using server = await startNatsServer({
    config: {
      authorization: { users: [{ user: "u", password: "50%/a@b:c" }, { nkey: user.getPublicKey() }] },
    },
  });
  await using token = await startNatsServer({ config: { authorization: { token: "s3cret" } } });
  const connections = [
    await connectTo(server.url, { user: "u", pass: "50%/a@b:c" }),
    await connectTo(server.url.replace("://", "://u:50%/a@b:c@")),
    await connectTo(server.url.replace("://", `://u:${encodeURIComponent("50%/a@b:c")}@`)),
    await connectTo(server.url, { nkey }),
    await connectTo(token.url, { token: "s3cret" }),
  ];
  for (const connection of connections) await connection.close();
  await assert.rejects(connectTo(server.url), (error) => {
    assert(error instanceof BackendError && error.reason === "denied");
    assert.match(error.message, /none were given/);
    return true;
  });
});

Deno.test("connectTo() distinguishes a missing TLS from a server that is down", async () => {
  await using server = await startNatsServer();
  for (const options of [{ tls: {} }, {}]) {
    const url = "tls" in options ? server.url : server.url.replace("nats://", "tls://");
    await assert.rejects(connectTo(url, options), (error) => {
      assert(error instanceof BackendError && error.reason === "untrusted", String(error));
      return true;
    });
  }
});

Deno.test("connectTo() refuses credentials that are none, without a part of a secret in the message", async () => {
  const secret = "SUAGIEYODKBBTUMOB666Z5KA4FCWAZV7HWSGRHOD7MK6UM5IYLWLACH7DQ";
  const credentials = `-----BEGIN NATS USER JWT-----\n${secret}\n------END NATS USER JWT------\n`;
  for (
    const options of [
      { credentials },
      { credentials: "/no/such/app.creds" },
      { credentials: secret },
      { nkey: secret.slice(1) },
      { pass: secret },
      { token: secret, user: "u" },
    ]
  ) {
    await assert.rejects(connectTo("nats://127.0.0.1:1", options), (error) => {
      assert(error instanceof InvalidArgumentError, String(error));
      assert.doesNotMatch(Deno.inspect(error), /AGIEYOD/); // its causes included
      return true;
    });
  }
});

Deno.test("a connection that connectTo() opened outlives credentials that are refused for a while", async () => {
  const users = (password: string): { readonly config: Record<string, unknown> } => ({
    config: { authorization: { users: [{ user: "u", password }] } },
  });
  await using server = await startNatsServer(users("right"));
  const connection = await connectTo(server.url, { user: "u", pass: "right" }, () => {});
  await server.reconfigure('"right"', '"other"');
  await until("the refusal is known", () => refusalOf(connection) !== undefined);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.equal(connection.isClosed(), false);
  await server.reconfigure('"other"', '"right"');
  await until("the connection is back", () => refusalOf(connection) === undefined);
  await connection.flush();
  await connection.close();
});
