/** `aether studio` as a process of its own, with just the permissions that its help names, over real HTTP. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { DenoKvCheckpoints, DenoKvEventStore, projectOnce } from "../../mod.ts";
import type { ActorState, ParkedPage, Session } from "../../src/studio/api/mod.ts";
import { aether } from "../cli/command_line.ts";
import { type KvFolder, kvFolder } from "../support/kv_file.ts";
import { freePort } from "../support/ports.ts";
import { Studio } from "./process.ts";
import { Client } from "./support.ts";

const DECIDERS = fileURLToPath(new URL("../cli/programs/order.ts", import.meta.url));
const SOURCE = fileURLToPath(new URL("../../src", import.meta.url));

async function orders(): Promise<KvFolder> {
  const folder = await kvFolder();
  // The studio does not know the definitions of the program.
  const events = { OrderPlaced: { version: 2, upcast: [(data: unknown) => data] } };
  await using store = await DenoKvEventStore.open(folder.file, { events });
  await using checkpoints = await DenoKvCheckpoints.open(folder.file);
  for (const actorId of ["order-1", "order-2"]) {
    await store.append(actorId, [
      { eventType: "OrderPlaced", data: { total: 5 } },
      { eventType: "OrderShipped", data: null },
    ], { expectedVersion: 0 });
  }
  const handle = ({ actorId }: { readonly actorId: string }): void => {
    if (actorId === "order-2") throw new RangeError("no such total");
  };
  const failure = { retries: 0, then: "park" } as const;
  await projectOnce(store, { name: "totals", checkpoints, handle, failure }, { onWarning: () => {} });
  return folder;
}

/** The flags that the help names for a file, for the port, and for what else is used. */
async function flagsFor(file: string, port: number): Promise<string[]> {
  const { out } = await aether(["studio", "--help"], { allow: [] });
  const [, text] = /^Permissions: (.*)\.$/m.exec(out) ?? [];
  const flags = ["for a file", "to listen", "for --decider", "for --projection"].flatMap((use) => {
    const part = text!.split("; ").find((part) => part.startsWith(use));
    return part!.match(/--(allow-[a-z]+=[A-Z]+|allow-net=[\d.:]+|allow-run=deno)/g)!;
  });
  return flags.map((flag) =>
    flag.replace("TARGET", file).replace("4380", String(port)).replace(/deno$/, Deno.execPath())
      .replace("=FILE", `=${DECIDERS},${SOURCE}`)
  );
}

/** What a server answers to a request under a host name of the caller's choice. */
async function statusUnder(host: string, port: number, cookie: string): Promise<number> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const text = `GET /api/session HTTP/1.1\r\nHost: ${host}\r\nCookie: ${cookie}\r\nConnection: close\r\n\r\n`;
  await connection.write(new TextEncoder().encode(text));
  const answer = await new Response(connection.readable).text();
  return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
}

Deno.test("aether studio serves a file with just the permissions that its help names", async () => {
  await using folder = await orders();
  const port = freePort();
  const allow = await flagsFor(folder.file, port);
  const options = [
    "--port",
    String(port),
    "--decider",
    `${DECIDERS}#order`,
    "--decider",
    `${DECIDERS}#fails`,
  ];
  const more = ["--projection", `${DECIDERS}#totals`, "--write"];
  await using studio = await Studio.start([folder.file, ...options, ...more], allow);
  const { client } = studio;
  assert.equal(studio.url.hostname, "127.0.0.1");

  const session = await client.get<Session>("session");
  assert.deepEqual([session.target, session.backend, session.canWrite], [folder.file, "Deno KV", true]);
  const query = `actor/state?actor=order-1&decider=${encodeURIComponent(`${DECIDERS}#order`)}`;
  assert.deepEqual((await client.get<ActorState>(query)).state, { total: 5, shipped: true });
  const failed = await client.refused(query.replace(/order$/, "fails"));
  assert.deepEqual([failed.status, failed.code], [422, "decider-failed"]);
  assert.match(failed.message, /RangeError: no such total/);

  const { parked: [entry] } = await client.get<ParkedPage>("parked?projection=totals");
  const retried = await client.post("parked/retry", { projection: "totals", position: entry!.position });
  assert.deepEqual(await retried.json(), { parked: 0, next: null });
  await using live = await client.stream("log/live");
  await live.until("connection", ({ connected }) => connected);

  // A second one on the port.
  const second = await aether(["studio", folder.file, "--port", String(port)], { allow });
  assert.deepEqual([second.code, second.out], [1, ""]);
  assert.match(second.err, new RegExp(`^Port ${port} is taken, perhaps by another studio\\. Choose another`));
  const [code, notes] = await studio.end();
  assert.equal(code, 0, notes);
  assert.match(notes, /can discard parked events, and retry those of "totals"/);
  assert.equal((await live.until("events").catch(() => undefined))?.name ?? "events", "events");
});

Deno.test("aether studio answers the browser that has its token, and no other site's page", async () => {
  await using folder = await orders();
  const allow = [`--allow-read=${folder.file}`, `--allow-write=${folder.file}`, "--allow-net=127.0.0.1"];
  await using studio = await Studio.start([folder.file, "--port", "0"], allow);
  const { client, url, cookie } = studio;
  const port = Number(url.port);

  const page = await client.request("");
  assert.equal(page.status, 200);
  assert.match(await page.text(), /<!doctype html>/i);
  const policy = page.headers.get("content-security-policy")!;
  assert.match(
    policy,
    /^default-src 'none'; script-src 'sha256-[^ ']+'; style-src 'sha256-.*frame-ancestors 'none'/,
  );
  assert.doesNotMatch(policy, /unsafe|\*|http|script-src [^;]*self/);
  assert.equal(page.headers.get("x-content-type-options"), "nosniff");

  for (const path of ["", "?token=wrong", `?token=${"x".repeat(32)}`]) {
    const refused = await fetch(`${url.origin}/${path}`);
    assert.equal(refused.status, 401, path);
    assert.match(refused.headers.get("content-type")!, /html/);
    assert.match(await refused.text(), /Open that address, or start the studio again/);
  }
  const strangers = new Client((request) => fetch(request), `${url.origin}/`);
  const { status, code } = await strangers.refused("session");
  assert.deepEqual([status, code], [401, "unauthorized"]);
  const earlier = new Client((request) => fetch(request), `${url.origin}/`, {
    cookie: cookie.replace(/=.*/, "=abc"),
  });
  assert.equal((await earlier.refused("session")).status, 401);
  const icon = await fetch(`${url.origin}/client/icon.svg`);
  assert.equal(icon.status, 401);
  await icon.body?.cancel();

  assert.equal(await statusUnder(`127.0.0.1:${port}`, port, cookie), 200);
  assert.equal(await statusUnder(`localhost:${port}`, port, cookie), 200);
  for (
    const host of [
      "evil.example",
      `evil.example:${port}`,
      `127.0.0.1.evil.example:${port}`,
      `10.0.0.1:${port}`,
      "127.0.0.1:1",
      "",
    ]
  ) {
    assert.equal(await statusUnder(host, port, cookie), 403, host);
  }

  const body = JSON.stringify({ projection: "totals", position: "x" });
  const json = { "content-type": "application/json" };
  const post = (headers: Record<string, string>): RequestInit => ({
    method: "POST",
    body,
    headers: { ...json, ...headers },
  });
  for (
    const headers of [{ origin: "https://evil.example" }, { "sec-fetch-site": "cross-site" }, {
      "sec-fetch-site": "none",
    }, {}]
  ) {
    const refused = await client.refused("parked/discard", post(headers));
    assert.deepEqual([refused.status, refused.code], [403, "forbidden"], JSON.stringify(headers));
  }
  const own = await client.refused("parked/discard", post({ origin: url.origin }));
  assert.deepEqual([own.status, own.code], [403, "read-only"]);
  assert.match(own.message, /--write/);
  const read = await client.refused("session", { headers: { "sec-fetch-site": "cross-site" } });
  assert.equal(read.code, "forbidden");
  const wrong = await client.refused("parked/discard");
  assert.deepEqual([wrong.status, wrong.code], [405, "method"]);
  assert.deepEqual(await studio.end(), [0, ""]);
});

Deno.test("aether studio explains what is wrong before it listens", async () => {
  await using folder = await orders();
  const allow = [`--allow-read=${folder.file}`, `--allow-write=${folder.file}`];
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [[folder.file, "--port", "0"], 1, /A permission is missing: .*net/],
    [[`${folder.path}/none.kv`], 1, /permission|no file/],
    [[folder.file, "--namespace", "other"], 3, /has no event log of the namespace "other"/],
    [[folder.file, "--decider", "order.ts"], 2, /--decider must be a file and a name/],
    [[folder.file, "--port", "70000"], 2, /--port/],
  ];
  await Promise.all(cases.map(async ([args, code, text]) => {
    const ran = await aether(["studio", ...args], { allow });
    assert.deepEqual([ran.code, ran.out], [code, ""], `${args}: ${ran.err}`);
    assert.match(ran.err, text);
    assert.doesNotMatch(ran.err, /\n\s+at /);
  }));
});
