/** Exports of all stores, and their import into all stores. */

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  CopyError,
  type EventStore,
  ExportError,
  exportEvents,
  type ExportOptions,
  FencedError,
  generateSealKey,
  importEvents,
  InMemoryEventStore,
  InvalidArgumentError,
  JetStreamEventStore,
  type StoredEvent,
  verifyExport,
} from "../../mod.ts";
import { schemaVersionOf } from "../../src/event/registry.ts";
import { rawLogOf } from "../../src/store/raw_log.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { type AnyStore, KINDS, stores } from "./stores.ts";

/** An export as bytes. */
async function bytesOf(store: EventStore, options?: ExportOptions): Promise<Uint8Array<ArrayBuffer>> {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const [bytes] = await Promise.all([new Response(readable).bytes(), exportEvents(store, writable, options)]);
  return bytes;
}

async function textOf(store: EventStore): Promise<string> {
  return new TextDecoder().decode(await bytesOf(store));
}

function streamOf(content: string | Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array> {
  return new Blob([content]).stream();
}

/** All that an export has to keep. */
async function contentOf(store: EventStore): Promise<unknown[]> {
  const events: unknown[] = [];
  for await (const event of rawLogOf(store).read("start", undefined)) {
    const { position: _, ...rest } = event as StoredEvent & { readonly metadata?: object };
    events.push({ ...rest, schemaVersion: schemaVersionOf(event) });
  }
  return events;
}

async function place(store: EventStore, count: number, actor = "order"): Promise<void> {
  for (let order = 1; order <= count; order++) {
    const events = [{ eventType: "Placed", data: { order } }, { eventType: "Paid", data: { order } }];
    await store.append(`${actor}-${order}`, events, { expectedVersion: 0 });
  }
}

async function faultOf(
  content: string | Uint8Array<ArrayBuffer>,
  key?: string,
): Promise<[string, number | undefined]> {
  const error = await verifyExport(streamOf(content), key === undefined ? {} : { key }).catch((error) =>
    error
  );
  assert(error instanceof ExportError, String(error));
  return [error.reason, error.line];
}

/** The text of a compressed export; `undefined` if it cannot be unpacked. */
async function unpacked(bytes: Uint8Array<ArrayBuffer>): Promise<string | undefined> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return await new Response(stream).text().catch(() => undefined);
}

/** A random history: commits of several actors, with gaps, tokens and all kinds of data. */
const commits = fc.array(
  fc.record({
    parts: fc.uniqueArray(
      fc.record({
        actorId: fc.constantFrom("a", "b.*", "c/\u00fc", "__proto__", "e \u{1f3b2}"),
        gap: fc.integer({ min: 0, max: 2 }),
        data: fc.array(
          fc.oneof(
            fc.json({ maxDepth: 2 }).map((text) => JSON.parse(text.replaceAll("-0", "0"))),
            fc.string({ unit: "grapheme" }),
          ),
          { minLength: 1, maxLength: 3 },
        ),
        metadata: fc.option(fc.record({ userId: fc.string(), note: fc.string() }), { nil: undefined }),
        eventType: fc.constantFrom("Placed", "Paid"),
      }),
      { selector: ({ actorId }) => actorId, minLength: 1, maxLength: 3 },
    ),
    token: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
    takeOver: fc.option(fc.constantFrom("a", "b.*", "only token"), { nil: undefined }),
  }),
  { minLength: 1, maxLength: 8 },
);

/** Stores a random history; returns the newest token of each actor. */
async function fill(
  store: AnyStore,
  history: typeof commits extends fc.Arbitrary<infer T> ? T : never,
): Promise<Map<string, number>> {
  const versions = new Map<string, number>();
  const tokens = new Map<string, number>();
  let newest = 0;
  for (const { parts, token, takeOver } of history) {
    if (token !== undefined) newest = Math.max(newest, token);
    const events = parts.flatMap(({ actorId, gap, data, metadata, eventType }) =>
      data.map((data, index) => {
        const version = (versions.get(actorId) ?? 0) + 1 + (index === 0 ? gap : 0);
        versions.set(actorId, version);
        return { actorId, version, eventType, data, ...(metadata && { metadata }) };
      })
    );
    if (token === undefined) await store.saveEvents(events, { unfenced: true });
    else {
      await store.saveEvents(events, { fencingToken: newest });
      for (const { actorId } of parts) tokens.set(actorId, newest);
    }
    if (takeOver === undefined || newest === 0) continue;
    await store.takeOver(takeOver, ++newest);
    tokens.set(takeOver, newest);
  }
  return tokens;
}

Deno.test("an export keeps all of a log between all stores, in all directions", async () => {
  await using all = await stores();
  for (const [from, to] of KINDS.flatMap((from) => KINDS.map((to) => [from, to] as const))) {
    await fc.assert(
      fc.asyncProperty(commits, fc.boolean(), async (history, compress) => {
        const events = { Paid: { version: 3, upcast: [(data: unknown) => data, (data: unknown) => data] } };
        const source = await all.open(from, { events });
        const tokens = await fill(source, history);
        const target = await all.open(to);
        const { imported } = await importEvents(streamOf(await bytesOf(source, { compress })), target);
        const expected = await contentOf(source);
        assert.equal(imported, expected.length);
        assert.deepEqual(await contentOf(target), expected);
        for (const [actorId, token] of tokens) {
          const error = await target.takeOver(actorId, token - 1 || 1).catch((error) => error);
          if (token > 1) {
            assert(
              error instanceof FencedError && error.newestToken === token,
              `${actorId} ${token}`,
            );
          }
          const unfenced = target.append(actorId, [{ eventType: "E", data: 1 }], { expectedVersion: "any" });
          await assert.rejects(unfenced, FencedError);
        }
      }),
      { numRuns: 4 },
    );
  }
});

Deno.test("a line is a commit, with the tokens of its actors", async () => {
  await using all = await stores();
  for (const kind of KINDS) {
    const store = await all.open(kind);
    await store.saveEvents([
      { actorId: "a", version: 1, eventType: "E", data: 1 },
      { actorId: "a", version: 4, eventType: "E", data: 2 },
      { actorId: "b", version: 1, eventType: "E", data: 3 },
    ]);
    await store.append("a", [{ eventType: "E", data: 4 }], { expectedVersion: 4, fencingToken: 7 });
    await store.takeOver("c", 9);
    const lines = (await textOf(store)).trimEnd().split("\n").map((line) => JSON.parse(line));
    const parts = lines.slice(1, -1).map(({ parts }) =>
      parts.map((
        { actorId, token, events }: { actorId: string; token?: number; events: { data: unknown }[] },
      ) => [actorId, kind === "memory" ? undefined : token, events.map(({ data }) => data)])
    );
    const token = kind === "memory" ? undefined : 7;
    const tokens = kind === "memory" ? [[["a", undefined, []]], [["c", undefined, []]]] : [[["c", 9, []]]];
    assert.deepEqual(parts, [
      [["a", undefined, [1, 2]], ["b", undefined, [3]]],
      [["a", token, [4]]],
      ...tokens,
    ], kind);
  }
});

Deno.test("an import is run again: after an end in the middle, and when all is stored", async () => {
  await using all = await stores();
  const source = await all.open("memory");
  await place(source, 30);
  const bytes = await bytesOf(source);
  for (const kind of KINDS) {
    const target = await all.open(kind);
    const cut = bytes.subarray(0, bytes.length >> 1);
    await assert.rejects(importEvents(streamOf(cut), target), { reason: "cut" });
    const stored = (await contentOf(target)).length;
    assert(stored > 0 && stored < 60);
    const report = await importEvents(streamOf(bytes), target);
    assert.deepEqual([report.events, report.imported], [60, 60 - stored]);
    const before = await target.getLastPosition();
    assert.equal((await importEvents(streamOf(bytes), target)).imported, 0);
    assert.equal(await target.getLastPosition(), before);
    assert.deepEqual(await contentOf(target), await contentOf(source));
  }
});

Deno.test("an import divides what is too large for one commit of its target", async () => {
  await using source = new InMemoryEventStore();
  // An event takes more bytes there than in an export: the names of its fields.
  const events = Array.from({ length: 1_000 }, () => ({ eventType: "Noted", data: "x".repeat(260) }));
  await source.append("a", events.slice(0, 500), { expectedVersion: 0 });
  await source.append("a", events.slice(500), { expectedVersion: 500 });
  await using server = await startNatsServer({ maxPayload: 286_720 });
  await using target = await JetStreamEventStore.open(server.url);
  assert.equal((await importEvents(streamOf(await bytesOf(source)), target)).imported, 1_000);
  assert.deepEqual(await contentOf(target), await contentOf(source));
});

Deno.test("an import refuses a store with other events: at the beginning, in the middle and at the end", async () => {
  await using all = await stores();
  const source = await all.open("memory");
  await place(source, 3);
  const bytes = await bytesOf(source);
  for (const kind of KINDS) {
    const other = await all.open(kind);
    await place(other, 1, "other");
    await assert.rejects(importEvents(streamOf(bytes), other), CopyError);
    assert.equal((await contentOf(other)).length, 2);
    const longer = await all.open(kind);
    await importEvents(streamOf(bytes), longer);
    await place(longer, 1, "more");
    const error = await importEvents(streamOf(bytes), longer).catch((error) => error);
    assert(error instanceof CopyError && error.found?.actorId === "more-1", String(error));
  }
});

Deno.test("an import goes on if its write is stored and its answer is lost, and if another one is faster", async () => {
  await using all = await stores();
  const source = await all.open("memory");
  await place(source, 40);
  const bytes = await bytesOf(source);
  for (const kind of KINDS) {
    const namespace = `shared${kind.length}`;
    const target = await all.open(kind, { namespace });
    const twice = await Promise.allSettled([
      importEvents(streamOf(bytes), target),
      importEvents(streamOf(bytes), target),
    ]);
    assert(twice.some(({ status }) => status === "fulfilled"), JSON.stringify(twice));
    assert.deepEqual(await contentOf(target), await contentOf(source));
    assert((await target.verify()).ok);
  }
});

Deno.test("verifyExport() names the line that was cut, changed, removed, added, moved or taken from another export", async () => {
  await using store = new InMemoryEventStore();
  await place(store, 5);
  const lines = (await textOf(store)).trimEnd().split("\n"); // a header, five commits, a trailer
  assert.equal(lines.length, 7);
  await using other = new InMemoryEventStore();
  await place(other, 5);
  const others = (await textOf(other)).trimEnd().split("\n");
  const text = (lines: readonly string[]): string => lines.join("\n") + "\n";
  const swapped = lines.with(3, lines[4]!).with(4, lines[3]!);
  assert.deepEqual(await faultOf(text(lines.slice(0, -1))), ["cut", 6]);
  assert.deepEqual(await faultOf(text(lines).slice(0, -20)), ["cut", 7]);
  assert.deepEqual(await faultOf(text(lines.slice(0, 3)) + lines[3]!.slice(0, 30)), ["cut", 4]);
  assert.deepEqual(await faultOf(text(lines).replace('"order":3', '"order":4')), ["changed", 4]);
  assert.deepEqual(await faultOf(text(lines).replace('"namespace":"default"', '"namespace":"other"')), [
    "changed",
    1,
  ]);
  assert.deepEqual(await faultOf(text(lines).replace('"events":10', '"events":11')), ["changed", 7]);
  assert.deepEqual(await faultOf(text(lines.toSpliced(3, 1))), ["order", 4]);
  assert.deepEqual(await faultOf(text(lines.toSpliced(3, 0, lines[3]!))), ["order", 5]);
  assert.deepEqual(await faultOf(text(swapped)), ["order", 4]);
  assert.deepEqual(await faultOf(text([...lines.slice(0, 3), ...others.slice(3)])), ["order", 4]);
  assert.deepEqual(await faultOf(text([...lines, ...others])), ["order", 8]);
  assert.deepEqual(await faultOf(text(lines) + "\n"), ["order", 8]);
});

Deno.test("verifyExport() refuses each of many random changes of a byte, at its line", async () => {
  await using store = new InMemoryEventStore();
  await place(store, 6);
  const bytes = await bytesOf(store);
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, difference) => {
      const changed = bytes.slice();
      changed[at]! ^= difference;
      const [, line] = await faultOf(changed);
      const expected = bytes.subarray(0, at).filter((byte) => byte === 10).length + 1;
      assert(line! >= expected - 1 && line! <= expected + 1, `byte ${at}: ${line}, not ${expected}`);
    }),
    { numRuns: 300 },
  );
});

Deno.test("verifyExport() refuses a compressed export that was cut or changed anywhere", async () => {
  await using store = new InMemoryEventStore();
  await place(store, 6);
  const bytes = await bytesOf(store, { compress: true });
  const text = await unpacked(bytes);
  const { events } = await verifyExport(streamOf(bytes));
  const header = 10; // a time and the name of a system, which are no part of the text
  for (let at = 0; at < bytes.length; at += 5) {
    assert.equal((await faultOf(bytes.slice(0, at)))[0], at === 0 ? "not-an-export" : "cut", String(at));
    if (at < header) continue;
    const changed = bytes.with(at, bytes[at]! ^ 1);
    // Some bits of the compression mean nothing: the text is the same then.
    if (await unpacked(changed) === text) {
      assert.equal((await verifyExport(streamOf(changed))).events, events);
    } else await faultOf(changed);
  }
});

Deno.test("verifyExport() refuses what is no export, and one of a newer format", async () => {
  assert.deepEqual(await faultOf(""), ["not-an-export", 1]);
  assert.deepEqual(await faultOf("hello"), ["not-an-export", 1]);
  assert.deepEqual(await faultOf('{"hello":1}\n'), ["not-an-export", 1]);
  assert.deepEqual(await faultOf(crypto.getRandomValues(new Uint8Array(10_000))), ["not-an-export", 1]);
  assert.deepEqual(await faultOf('{"aether":"export","format":2,"other":true}\n'), ["newer-format", 1]);
  const packed = new Blob(["hello\n"]).stream().pipeThrough(new CompressionStream("gzip"));
  assert.deepEqual(await faultOf(await new Response(packed).bytes()), ["not-an-export", 1]);
  await assert.rejects(verifyExport("/no/such/file.ndjson"), InvalidArgumentError);
  await assert.rejects(verifyExport(7 as never), InvalidArgumentError);
  const text = new Blob(["text"]).stream().pipeThrough(new TextDecoderStream());
  await assert.rejects(verifyExport(text as never), InvalidArgumentError);
  await using store = new InMemoryEventStore();
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  readable.getReader();
  writable.getWriter();
  await assert.rejects(verifyExport(readable), InvalidArgumentError);
  await assert.rejects(importEvents(readable, store), InvalidArgumentError);
  await assert.rejects(exportEvents(store, writable), InvalidArgumentError);
});

Deno.test("a signed export is verified by the public key; one that was made again without the private key is not", async () => {
  const mine = generateSealKey("example.com/mine");
  const other = generateSealKey("example.com/mine");
  await using store = new InMemoryEventStore();
  await place(store, 3);
  const signed = await bytesOf(store, { signer: { key: mine.privateKey } });
  const key = mine.publicKey;
  assert.equal((await verifyExport(streamOf(signed), { key })).events, 6);
  assert.deepEqual(await faultOf(signed, other.publicKey), ["signature", 5]);
  assert.deepEqual(await faultOf(await bytesOf(store), key), ["unsigned", 5]);
  // All sums are right in an export of changed events, but not the signature.
  assert.deepEqual(await faultOf(await bytesOf(store, { signer: { key: other.privateKey } }), key), [
    "signature",
    5,
  ]);
  await using target = new InMemoryEventStore();
  await assert.rejects(importEvents(streamOf(signed), target, { key: other.publicKey }), {
    reason: "signature",
  });
  assert.equal((await importEvents(streamOf(signed), target, { key })).events, 6);
  await assert.rejects(verifyExport(streamOf(signed), { key: mine.privateKey }), InvalidArgumentError);
});

Deno.test("the signature of an export is a signed note over the RFC 6962 root of its lines", async () => {
  const { privateKey, publicKey } = generateSealKey("example.com/mine");
  await using store = new InMemoryEventStore();
  await place(store, 4);
  const text = new TextDecoder().decode(await bytesOf(store, { signer: { key: privateKey } }));
  const lines = text.trimEnd().split("\n");
  const sha256 = async (...parts: Uint8Array[]): Promise<Uint8Array> =>
    new Uint8Array(
      await crypto.subtle.digest("SHA-256", await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer()),
    );
  const leaves = await Promise.all(
    lines.slice(0, -1).map((line) => sha256(new Uint8Array([0]), new TextEncoder().encode(line))),
  );
  const root = async (hashes: Uint8Array[]): Promise<Uint8Array> => {
    if (hashes.length === 1) return hashes[0]!;
    let half = 1;
    while (half * 2 < hashes.length) half *= 2;
    return await sha256(
      new Uint8Array([1]),
      await root(hashes.slice(0, half)),
      await root(hashes.slice(half)),
    );
  };
  const { trailer } = JSON.parse(lines.at(-1)!);
  const expected = (await root(leaves)).toBase64();
  assert.equal(trailer.root, expected);
  const [signedText, signature] = trailer.note.split("\n\n");
  assert.deepEqual(signedText.split("\n").slice(0, 3), ["aether-export/default", "5", expected]);
  const raw = Uint8Array.fromBase64(publicKey.split("+").slice(2).join("+")).subarray(1);
  const key = await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]);
  const bytes = Uint8Array.fromBase64(signature.trim().split(" ")[2]).subarray(4);
  assert(await crypto.subtle.verify("Ed25519", key, bytes, new TextEncoder().encode(signedText + "\n")));
});
