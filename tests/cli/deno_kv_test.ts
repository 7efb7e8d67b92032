/** The command line on a file of Deno KV. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { DenoKvCheckpoints, DenoKvEventStore, projectOnce } from "../../mod.ts";
import { type KvFolder, kvFolder } from "../support/kv_file.ts";
import { until } from "../support/until.ts";
import { aether, type Ran, shell, startAether } from "./command_line.ts";

const DECIDERS = fileURLToPath(new URL("./programs/order.ts", import.meta.url));
/** The library, which a user's file imports. */
const SOURCE = fileURLToPath(new URL("../../src", import.meta.url));
/** What a terminal obeys, and what a page obeys. */
const HOSTILE = "\u001b[2J\u202e<script>alert(1)</script>\r\n";

/** A file with three actors, of which one is hostile, and a projection that has parked an event. */
async function orders(): Promise<KvFolder & { run(...args: string[]): Promise<Ran> }> {
  const folder = await kvFolder();
  await using store = await DenoKvEventStore.open(folder.file);
  for (const actorId of ["order-1", "order-2", `order-${HOSTILE}`]) {
    await store.append(actorId, [
      { eventType: "OrderPlaced", data: { total: 5, note: HOSTILE }, timestamp: "2026-01-01T10:00:00Z" },
      { eventType: "OrderShipped", data: { carrier: "dhl" }, timestamp: "2026-01-02T10:00:00Z" },
    ], { expectedVersion: 0 });
  }
  await using checkpoints = await DenoKvCheckpoints.open(folder.file);
  const handle = ({ actorId, version }: { actorId: string; version: number }): void => {
    if (actorId === "order-2" && version === 1) throw new RangeError(`no such total ${HOSTILE}`);
  };
  const failure = { retries: 0, then: "park" } as const;
  await projectOnce(store, { name: "totals", checkpoints, handle, failure }, { onWarning: () => {} });
  const allow = [`--allow-read=${folder.file}`, `--allow-write=${folder.file}`];
  return Object.assign(folder, { run: (...args: string[]) => aether(args, { allow }) });
}

function isPlain(text: string): boolean {
  // deno-lint-ignore no-control-regex -- these are what a terminal obeys
  return !/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/.test(text);
}

Deno.test("aether shows an actor at a version, at a time, between two versions and as a test", async () => {
  await using file = await orders();
  const all = await file.run("show", file.file, "order-1");
  assert.equal(all.code, 0, all.err);
  assert.match(all.out, /^VERSION +TIME +TYPE +DATA\n1 .*OrderPlaced.*\n2 .*OrderShipped.*"dhl"/);
  assert(isPlain(all.out), all.out);
  const first = await file.run("show", file.file, "order-1", "--at", "2026-01-01T12:00:00Z", "--json");
  assert.deepEqual(first.rows.map(({ version }) => version), [1]);
  assert.deepEqual((first.rows[0]!["data"] as { note: string }).note, HOSTILE, "JSON keeps the text");
  assert(isPlain(first.out));
  assert.equal((await file.run("show", file.file, "order-1", "--at", "2025-01-01")).out, "");
  const given = await file.run("show", file.file, "order-1", "--given", "--at", "1");
  assert.match(given.out, /^given\(\[\n {2}\{ eventType: "OrderPlaced", data: \{.*\} \},\n\]\)\n$/);
  const diff = await file.run("show", file.file, "order-1", "--diff", "1..2", "--json");
  assert.deepEqual(diff.rows.map(({ path }) => path), ["total", "note", "carrier"]);
  const hostile = await file.run("show", file.file, `order-${HOSTILE}`);
  assert(hostile.code === 0 && isPlain(hostile.out));
});

Deno.test("aether folds with a decider that has no permission, and ends one that loops", async () => {
  await using file = await orders();
  const allow = [
    `--allow-read=${file.file}`,
    `--allow-write=${file.file}`,
    `--allow-run=${Deno.execPath()}`,
    "--allow-env=NO_COLOR",
  ];
  const show = (name: string, ...more: string[]): Promise<Ran> =>
    aether(["show", file.file, "order-1", "--decider", `${DECIDERS}#${name}`, ...more], { allow });
  const wrong = {
    loops: /was ended: it did nothing for 5 s/,
    reads: /asked for a permission, and is run without any/,
    calls: /asked for a permission, and is run without any/,
    fails: /RangeError: no such total/,
    none: /There is no export "none".*loops, /,
    notOne: /"notOne" is no decider/,
    waits: /evolve returned a promise/,
  };
  const [state, reversed, printing, diff, ...refused] = await Promise.all([
    show("order", "--json"),
    show("order", "--diff", "2..0", "--json"),
    show("prints", "--json"),
    show("order", "--diff", "1..2", "--json"),
    ...Object.keys(wrong).map((name) => show(name)),
  ]);
  assert.deepEqual(state!.rows.at(-1), { version: 2, state: { total: 5, shipped: true } }, state!.err);
  assert.deepEqual(diff!.rows, [{ path: "shipped", before: false, after: true }]);
  const back = reversed!.rows.map(({ path, before, after }) => [path, before, after]);
  assert.deepEqual(back, [["total", 5, 0], ["shipped", true, false]], reversed!.err);
  assert.deepEqual(printing!.rows.at(-1), { version: 2, state: 2 }, "what a decider prints is no state");
  for (const [index, [name, text]] of Object.entries(wrong).entries()) {
    const { code, out, err } = refused[index]!;
    assert.deepEqual([code, out], [1, ""], name);
    assert.match(err, text);
    assert.doesNotMatch(err, /\n\s+at /, "a stack was printed");
  }
});

Deno.test("aether lists the log and the actors by page", async () => {
  await using file = await orders();
  const latest = await file.run("log", file.file, "--limit", "2", "--json");
  assert.deepEqual(latest.rows.map(({ version }) => version), [1, 2]);
  const [one] = (await file.run("log", file.file, "--after", "start", "--limit", "1", "--json")).rows;
  const rest = await file.run("log", file.file, "--after", String(one!["position"]), "--json");
  assert.equal(rest.rows.length, 5);
  const shipped = await file.run("log", file.file, "--type", "OrderShipped", "--actor-prefix", "order-2");
  assert.match(shipped.out, /^TIME.*\n.*order-2 +2 +OrderShipped/);
  const actors = await file.run("actors", file.file, "--limit", "2");
  assert.match(actors.out, /^ACTOR +VERSION\n/);
  assert.match(actors.err, /There are more/);
});

Deno.test("aether follows the log until it is interrupted", async () => {
  await using file = await orders();
  const allow = [`--allow-read=${file.file}`, `--allow-write=${file.file}`];
  await using tail = startAether(["tail", file.file, "--limit", "1", "--json"], { allow });
  const lines: string[] = [];
  const reading = (async () => {
    for await (const text of tail.stdout.pipeThrough(new TextDecoderStream())) {
      lines.push(...text.split("\n").filter(Boolean));
    }
  })();
  await until("the latest event", () => lines.length === 1);
  await using store = await DenoKvEventStore.open(file.file);
  await store.append("order-9", [{ eventType: "OrderPlaced", data: HOSTILE }], { expectedVersion: 0 });
  await until("the new event", () => lines.length === 2);
  assert.equal(JSON.parse(lines[1]!).actorId, "order-9");
  tail.kill("SIGINT");
  assert.equal((await tail.status).code, 0);
  await reading;
  await tail.stderr.cancel();
});

Deno.test("aether prints each event once that is stored while it begins to follow the log", async () => {
  await using file = await orders();
  const allow = [`--allow-read=${file.file}`, `--allow-write=${file.file}`];
  await using store = await DenoKvEventStore.open(file.file);
  let isOver = false;
  const writing = (async () => {
    while (!isOver) {
      await store.append("order-9", [{ eventType: "Ticked", data: null }], { expectedVersion: "any" });
    }
  })();
  await using tail = startAether(["tail", file.file, "--actor", "order-9", "--json"], { allow });
  let text = "";
  const reading = (async () => {
    for await (const part of tail.stdout.pipeThrough(new TextDecoderStream())) text += part;
  })();
  const versions = (): number[] =>
    text.split("\n").slice(0, -1).filter(Boolean).map((line) => JSON.parse(line).version);
  await until("events", () => versions().length > 50);
  isOver = true;
  await writing;
  tail.kill("SIGINT");
  assert.equal((await tail.status).code, 0);
  await reading;
  await tail.stderr.cancel();
  const [first, ...others] = versions();
  assert.deepEqual(others, others.map((_, index) => first! + 1 + index), "each event once, in order");
});

Deno.test("aether reports how projections are getting on, and retries or discards what is parked", async () => {
  await using file = await orders();
  const status = await file.run("projections", file.file);
  assert.match(status.out, /^PROJECTION.*\ntotals +1 +up to date +0 +0s +1 /, status.err);
  const parked = await file.run("parked", "list", file.file, "totals");
  assert.match(parked.out, /order-2 +1 +OrderPlaced .* RangeError: no such total/);
  assert(isPlain(parked.out));
  const [entry] = (await file.run("parked", "list", file.file, "totals", "--json")).rows;
  const position = String(entry!["position"]);
  const list = `parked list '${file.file}' totals`;
  const { text } = await shell(`script -qec "stty cols 40; $AETHER $1" /dev/null </dev/null`, [list]);
  assert(text.includes(`position ${position}\r\n`), `what a terminal shows can be copied: ${text}`);
  assert.match(text, /RangeError: no such total/);
  const asked = await file.run("parked", "discard", file.file, "totals", position);
  assert.deepEqual([asked.code, asked.out], [2, ""]);
  assert.match(asked.err, /Discards the event .* Add --yes to do it/);
  // The file of the projection imports the library, which awaits something when it is loaded.
  const allow = [`--allow-read=${file.file},${DECIDERS},${SOURCE}`, `--allow-write=${file.file}`];
  const retry = ["parked", "retry", file.file, position, "--projection", `${DECIDERS}#totals`, "--yes"];
  const retried = await aether(retry, { allow });
  assert.equal(retried.code, 0, retried.err);
  assert.match((await file.run("parked", "list", file.file, "totals")).out, /Nothing is parked/);
  const again = await file.run("parked", "discard", file.file, "totals", position, "--yes");
  assert.equal(again.code, 1, again.out);
  assert.equal((await file.run("parked", "list", file.file, "unknown")).code, 3);
});

Deno.test("aether discards a parked event, and takes nothing that waits behind it to be handled", async () => {
  await using file = await orders();
  const discard = async (): Promise<Ran> => {
    const [entry] = (await file.run("parked", "list", file.file, "totals", "--json")).rows;
    return await file.run("parked", "discard", file.file, "totals", String(entry!["position"]), "--yes");
  };
  const first = await discard();
  assert.equal(first.code, 0, first.err);
  assert.match(
    first.out,
    /was discarded\. Event 2 of "order-2" waited behind it and is parked in its place: retry it/,
  );
  const [next] = (await file.run("parked", "list", file.file, "totals", "--json")).rows;
  assert.deepEqual([next!["actorId"], next!["eventVersion"]], ["order-2", 2]);
  assert.match((await discard()).out, /^The event at \S+ was discarded\.\n$/);
  assert.match((await file.run("parked", "list", file.file, "totals")).out, /Nothing is parked/);
});

Deno.test("aether verifies, diagnoses and copies", async () => {
  await using file = await orders();
  assert.match(
    (await file.run("verify", file.file)).out,
    /The log is whole: 6 events in 3 commits of 3 actors/,
  );
  const [finding] = (await file.run("diagnose", file.file, "--json")).rows;
  assert.equal(finding!["code"], "one-file");
  await using folder = await kvFolder();
  const allow = [`--allow-read=${file.file},${folder.file}`, `--allow-write=${file.file},${folder.file}`];
  const copy = ["copy", file.file, folder.file, "--to-namespace", "copied", "--yes", "--json"];
  const copied = await aether(copy, { allow });
  assert.deepEqual(copied.rows.map(({ events, copied }) => [events, copied]), [[6, 6]], copied.err);
  assert.equal((await aether(copy, { allow })).rows[0]!["copied"], 0);

  const kv = await Deno.openKv(file.file);
  const [event] = await Array.fromAsync(kv.list({ prefix: ["aether", "default", "event", "order-1"] }));
  await kv.delete(event!.key);
  kv.close();
  const damaged = await file.run("verify", file.file);
  assert.equal(damaged.code, 3, damaged.out);
  assert.match(damaged.out, /The log is not whole: \d fault/);
  const reports = await file.run("verify", file.file, "--json");
  assert.equal(reports.rows.at(-1)!["ok"], false);
});

Deno.test("aether explains a wrong target, a missing actor, a missing permission and a wrong command line", async () => {
  await using file = await orders();
  {
    using kv = await Deno.openKv(file.file);
    const { value } = await kv.get<object>(["aether", "default", "log"]);
    await kv.set(["aether", "newer", "log"], { ...value, format: 99 });
  }
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [["log", file.file, "--namespace", "newer"], 1, /written in format 99, and this version reads format 2/],
    [["show", file.file, "order-7"], 3, /There is no actor "order-7"/],
    [["show", file.file, "order-1", "--at", "9"], 3, /has come to version 2, and not to 9/],
    [["show", file.file, "order-1", "--at", "soon"], 2, /--at must be a version, or a time/],
    [["show", file.file, "order-1", "--diff", "1-2"], 2, /--diff must be two versions/],
    [["show", file.file, "order-1", "--diff", "1..9"], 3, /has come to version 2, and not to 9/],
    [["show", file.file, "order-1", "--diff", "0..1"], 3, /no event of version 0/],
    [["log", file.file, "--namespace", "other"], 3, /has no event log of the namespace "other".*default/],
    [["log", file.file, "--after", "nowhere"], 1, /position/],
    [["log", file.file, "--limit", "0"], 2, /--limit/],
    [["lok", file.file], 2, /Did you mean `log`/],
    [["log", "/etc/hostname"], 1, /A permission is missing: .*\/etc\/hostname/],
    [["log", "ftp://127.0.0.1/x"], 2, /is no target: name a file/],
    [["log", "nats://ada:secret@127.0.0.1:1"], 1, /permission/],
    [["log", "nats://ada:se/c@secret@127.0.0.1:1", "--limit", "5"], 1, /permission|URL|NATS/],
    [["nats://ada:secret@127.0.0.1:1", "log"], 2, /Unexpected|Expected/],
    [["log", file.file, "nats://ada:secret@127.0.0.1:1"], 2, /Unexpected|Expected/],
    [
      ["copy", file.file, "nats://ada:secret@127.0.0.1:1"],
      2,
      /to "default" in nats:\/\/127.0.0.1:1. Add --yes/,
    ],
    [["seal", file.file, `${file.path}/seal`], 2, /needs a private key: name its file with --key/],
    [["verify", file.file, "--seal", `${file.path}/seal`], 2, /--seal needs the public key/],
    [["timers", file.file, "--until", "soon"], 2, /--until must be a time/],
    [["timers", file.file, "--correct"], 2, /--correct needs --actors/],
    [["cluster", file.file], 2, /A cluster is on a NATS server/],
    [[], 2, /See: aether help/],
  ];
  await Promise.all(cases.map(async ([args, code, text]) => {
    const ran = await file.run(...args);
    assert.deepEqual([ran.code, ran.out], [code, ""], `${args}: ${ran.err}`);
    assert.match(ran.err, text);
    assert.doesNotMatch(ran.err, /\n\s+at |secret/);
  }));
  const missing = `${file.path}/missing.kv`;
  const ran = await aether(["log", missing], { allow: [`--allow-read=${missing}`] });
  assert.deepEqual([ran.code, ran.err], [3, `There is no file "${missing}".\n`]);
  await assert.rejects(Deno.stat(missing), Deno.errors.NotFound);
  const directory = await aether(["log", file.path], { allow: [`--allow-read=${file.path}`] });
  assert.deepEqual([directory.code, directory.out], [3, ""]);
  assert.match(directory.err, /is a directory. Name the file of the database./);
  await Deno.writeTextFile(missing, "no database");
  const other = await aether(["log", missing], {
    allow: [`--allow-read=${missing}`, `--allow-write=${missing}`],
  });
  assert.equal(other.code, 1);
  assert.match(other.err, /is not a Deno KV database/);
});

Deno.test("aether prints its help and a completion for shells", async () => {
  const [help, show, completion] = await Promise.all(
    [["help"], ["show", "--help"], ["completion", "bash"]].map((args) => aether(args, { allow: [] })),
  );
  assert.match(help!.out, /A command's help names the permissions that suffice/);
  assert.match(show!.out, /Permissions: for a file --unstable-kv --allow-read=TARGET --allow-write=TARGET/);
  assert.match(show!.out, /--decider FILE#NAME/);
  assert.match(completion!.out, /complete .*aether/);
  assert.deepEqual([help!.code, show!.code, completion!.code], [0, 0, 0]);
});
