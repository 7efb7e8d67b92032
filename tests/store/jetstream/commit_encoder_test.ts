import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { CommitEncoder, type CommitFields } from "../../../src/store/jetstream/format/commit_encoder.ts";
import { Layout } from "../../../src/store/jetstream/format/layout.ts";
import type { OutgoingMessage } from "../../../src/nats/jetstream/publication.ts";
import { CommitDecoder } from "../../../src/store/jetstream/format/commit_decoder.ts";
import type { StoredCommit } from "../../../src/store/jetstream/format/commit_header.ts";
import { Trail } from "../../../src/store/jetstream/format/trail.ts";

const LOG = "0123456789ab";
const layout = new Layout("aether", "default", LOG);

function fields(given: Partial<CommitFields> = {}): CommitFields {
  return {
    commitId: "c1",
    previousVersion: 0,
    versions: [1],
    fence: 0,
    unfenced: true,
    previousSequence: 0,
    trail: Trail.EMPTY,
    ...given,
  };
}

function body(...data: readonly string[]): string {
  return JSON.stringify(data.map((text, index) => ({
    id: `e${index}`,
    eventType: "Noted",
    timestamp: "2026-01-01T00:00:00.000Z",
    data: text,
  })));
}

/** What a message says once it is stored. */
function read({ subject, data, headers }: OutgoingMessage, sequence: number): StoredCommit {
  const block = headers!.encode();
  const bytes = new Uint8Array(block.length + data.length);
  bytes.set(block);
  bytes.set(data, block.length);
  const message = { subject, sequence, bytes, headerLength: block.length };
  const commit = new CommitDecoder(LOG, layout, crc32).read(message);
  if (commit instanceof Error) throw commit;
  return commit;
}

Deno.test("CommitEncoder writes what CommitDecoder reads, for texts of any length", () => {
  const encoder = new CommitEncoder(LOG, crc32);
  const texts = [
    "",
    "a",
    "\u00e9",
    "\u{1f600}",
    '\0\n"\\',
    "x".repeat(300),
    "\u20ac".repeat(20_000),
    "y".repeat(600_000),
  ];
  // All at once: no message may be written over another one.
  const messages = texts.map((text) =>
    encoder.encode(layout.subject("a.b c"), body(text, text), fields({ versions: [1, 2] }))
  );
  for (const [index, message] of messages.entries()) {
    const { actorId, events, commitId } = read(message, index + 1);
    assert.equal(commitId, "c1");
    assert.equal(actorId, "a.b c");
    assert.deepEqual(events.map(({ data, version }) => [data, version]), [[texts[index], 1], [
      texts[index],
      2,
    ]]);
  }
});

Deno.test("CommitEncoder keeps messages apart, also thousands of them, and also small ones among large ones", () => {
  const encoder = new CommitEncoder(LOG, crc32);
  const texts = Array.from(
    { length: 3_000 },
    (_, index) => `${index} `.repeat(1 + index % 97 * (index % 31 ? 1 : 300)),
  );
  const messages = texts.map((text, index) =>
    encoder.encode(layout.subject(`actor-${index}`), body(text), fields({ commitId: `c${index}` }))
  );
  for (const [index, message] of messages.entries()) {
    const { actorId, events, commitId } = read(message, index + 1);
    assert.deepEqual([actorId, commitId, events[0]?.data], [`actor-${index}`, `c${index}`, texts[index]]);
  }
});

Deno.test("CommitEncoder writes gaps, tokens, trails and commits without events", () => {
  const encoder = new CommitEncoder(LOG, crc32);
  const trail = Trail.EMPTY.after(3).after(9);
  const gapped = fields({ previousVersion: 4, versions: [7, 9], fence: 5, previousSequence: 9, trail });
  const commit = read(encoder.encode(layout.subject("a"), body("x", "y"), gapped), 12);
  assert.deepEqual(commit.events.map(({ version }) => version), [7, 9]);
  assert.deepEqual([commit.previousVersion, commit.previousSequence, commit.fence], [4, 9, 5]);
  assert.equal(commit.trail?.encode(), trail.encode());

  const takeOver = read(
    encoder.encode(layout.subject("a"), "[]", fields({ versions: [], fence: 6, unfenced: false })),
    13,
  );
  assert.deepEqual([takeOver.events, takeOver.fence], [[], 6]);
});

Deno.test("a message of CommitEncoder whose subject, expectation, header or body is another does not check out", () => {
  const encoder = new CommitEncoder(LOG, crc32);
  const sound = encoder.encode(
    layout.subject("a"),
    body("x"),
    fields({ previousSequence: 7, trail: Trail.EMPTY.after(7) }),
  );
  read(sound, 9);
  const change = (bytes: Uint8Array, from: string, to: string): Uint8Array =>
    new TextEncoder().encode(new TextDecoder().decode(bytes).replace(from, to));
  const block = sound.headers!.encode();
  const changed = [
    { ...sound, subject: layout.subject("b") },
    { ...sound, data: change(sound.data, '"x"', '"z"') },
    { ...sound, headers: { encode: () => change(block, "Sequence: 7", "Sequence: 8") } },
    { ...sound, headers: { encode: () => change(block, " c1 ", " c2 ") } },
  ];
  for (const message of changed) {
    assert.throws(() => read(message, 9), /its checksum does not match its bytes/);
  }
});
