import assert from "node:assert/strict";
import fc from "fast-check";
import { connectTo } from "../../src/nats/connect.ts";
import {
  actorPrefixFilter,
  decodeActorId,
  encodeActorId,
  encodeNamespace,
  MAX_ACTOR_ID_BYTES,
  requireSubjectPrefix,
} from "../../src/event/subject.ts";
import { InvalidArgumentError } from "../../src/errors.ts";
import { startNatsServer } from "../support/nats_server.ts";

// deno-fmt-ignore
const HOSTILE: readonly string[] = [
  "*", ">", "a.*", "a.>", ".", "..", "a..b", ".a", "a.", " ", "a b", "a\tb", "a\r\nPUB x 0\r\n", "\0", "\u007f", "=",
  "=-", "=41", "=2e", "=C3=A9", "%20", "/", "\\", "../../etc", "$JS.API.STREAM.DELETE.S", "_INBOX.x", "-", "_",
  "__proto__", "constructor", "order.123", "ORDER.123", "\u00e9", "e\u0301", "\u{1F600}", "\uFEFF", "\uFFFD",
  "\u202E", "x".repeat(512), ".".repeat(512), "\u{1F600}".repeat(128), "*".repeat(512),
];

const anyId = fc.oneof(
  fc.constantFrom(...HOSTILE),
  fc.string({ unit: "binary", minLength: 1, maxLength: 40 }),
  fc.string({
    unit: fc.constantFrom(".", "=", "-", "a", "*", ">", " ", "2", "D", "\u00e9"),
    minLength: 1,
    maxLength: 12,
  }),
).filter((id) => id.isWellFormed());

const LEGAL = /^(?:[A-Za-z0-9_=-]+)(?:\.[A-Za-z0-9_=-]+)*$/;

function matches(filter: string, subject: string): boolean {
  const parts = filter.split(".");
  const tokens = subject.split(".");
  assert.equal(parts.pop(), ">");
  return tokens.length > parts.length && parts.every((part, index) => part === tokens[index]);
}

Deno.test("encodeActorId() is reversible, and never yields a wildcard, blank or empty level", () => {
  fc.assert(
    fc.property(anyId, (id) => {
      const encoded = encodeActorId(id);
      assert.match(encoded, LEGAL);
      assert(encoded.length <= 3 * MAX_ACTOR_ID_BYTES + 2);
      assert.equal(decodeActorId(encoded), id);
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("encodeActorId() is injective", () => {
  fc.assert(
    fc.property(anyId, anyId, (a, b) => {
      assert.equal(encodeActorId(a) === encodeActorId(b), a === b);
    }),
    { numRuns: 2_000 },
  );
  assert.equal(new Set(HOSTILE.map(encodeActorId)).size, HOSTILE.length);
});

Deno.test("encodeActorId() is the documented encoding", () => {
  assert.equal(encodeActorId("order.123"), "order.123");
  assert.equal(encodeActorId("a b"), "a=20b");
  assert.equal(encodeActorId("a..b."), "a.=-.b.=-");
  assert.equal(encodeActorId("\u00e9*"), "=C3=A9=2A");
  assert.equal(encodeActorId("=-"), "=3D-");
});

Deno.test("encodeActorId() refuses what has no bytes of its own, is empty, or too long", () => {
  for (
    const id of ["", "\ud800", "a.\udc00", "x".repeat(513), "\u00e9".repeat(257), "\u{1F600}".repeat(129)]
  ) {
    assert.throws(() => encodeActorId(id), InvalidArgumentError);
  }
});

Deno.test("decodeActorId() refuses every other spelling", () => {
  const others = [
    "",
    ".",
    "a..b",
    "=41",
    "=2e",
    "=C3",
    "=",
    "=4",
    "a=-",
    "=-=-",
    "*",
    "a.>",
    " ",
    "=ED=A0=80",
    "\u00e9",
  ];
  for (const text of others) assert.throws(() => decodeActorId(text), InvalidArgumentError, text);
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("=", "2", "A", "a", "-", "."), maxLength: 8 }), (text) => {
      let id: string;
      try {
        id = decodeActorId(text);
      } catch (error) {
        assert(error instanceof InvalidArgumentError);
        return;
      }
      assert.equal(encodeActorId(id), text);
    }),
  );
});

Deno.test("actorPrefixFilter() holds every actor that begins with the prefix, by whole levels", () => {
  assert.equal(actorPrefixFilter("aether.ns", ""), "aether.ns.>");
  assert.equal(actorPrefixFilter("aether.ns", "order"), "aether.ns.>");
  assert.equal(actorPrefixFilter("aether.ns", "order."), "aether.ns.order.>");
  assert.equal(actorPrefixFilter("aether.ns", "order.12"), "aether.ns.order.>");
  assert.equal(actorPrefixFilter("aether.ns", "a b..*"), "aether.ns.a=20b.=-.>");
  assert.equal(actorPrefixFilter("aether.ns", "a.\ud83d"), "aether.ns.a.>");
  assert.equal(actorPrefixFilter("aether.ns", "a.\ud83d.b"), "aether.ns.a.>");
  fc.assert(
    fc.property(anyId, fc.nat(40), (id, length) => {
      const filter = actorPrefixFilter("aether.ns", id.slice(0, length));
      assert(matches(filter, `aether.ns.${encodeActorId(id)}`));
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("encodeNamespace() gives one injective token", () => {
  const name = fc.string({ unit: "binary", minLength: 1, maxLength: 16 }).filter((text) =>
    text.isWellFormed()
  );
  fc.assert(fc.property(name, name, (a, b) => {
    assert.match(encodeNamespace(a), /^[A-Za-z0-9_=-]{1,192}$/);
    assert.equal(encodeNamespace(a) === encodeNamespace(b), a === b);
  }));
  assert.equal(encodeNamespace("a.b"), "a=2Eb");
  assert.equal(encodeNamespace("__internal__"), "__internal__");
  for (const bad of ["", "\ud800", "x".repeat(65)]) {
    assert.throws(() => encodeNamespace(bad), InvalidArgumentError);
  }
});

Deno.test("requireSubjectPrefix() takes plain levels only", () => {
  for (const prefix of ["aether", "prod.aether-1"]) requireSubjectPrefix(prefix);
  for (const prefix of ["", ".", "a.", "a.*", "a b", "$JS", ">", "x".repeat(129)]) {
    assert.throws(() => requireSubjectPrefix(prefix), InvalidArgumentError);
  }
});

Deno.test("The server carries every encoded id, the longest ones too, unchanged", async () => {
  await using server = await startNatsServer();
  const connection = await connectTo(server.url);
  const received: string[] = [];
  connection.subscribe("t.>", { callback: (_error, message) => void received.push(message.subject) });
  const subjects = HOSTILE.map((id) => `t.${encodeActorId(id)}`);
  for (const subject of subjects) connection.publish(subject);
  await connection.flush();
  await connection.close();
  assert.deepEqual(received, subjects);
  assert.deepEqual(received.map((subject) => decodeActorId(subject.slice(2))), HOSTILE);
});
