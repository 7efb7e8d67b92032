/** The stored form of repairs, and which messages are told apart as commits whose bytes have changed. */

import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { DamagedHistoryError } from "@flowmade-one/aether/jetstream";
import { batchOf } from "../../../src/nats/jetstream/batch.ts";
import type { OutgoingMessage } from "../../../src/nats/jetstream/publication.ts";
import { CommitDecoder, isStray, type OrFault } from "../../../src/store/jetstream/format/commit_decoder.ts";
import type { StoredCommit } from "../../../src/store/jetstream/format/commit_header.ts";
import { CommitEncoder } from "../../../src/store/jetstream/format/commit_encoder.ts";
import { Layout } from "../../../src/store/jetstream/format/layout.ts";
import { Trail } from "../../../src/store/jetstream/format/trail.ts";
import { bytes } from "./support.ts";

const LOG = "0123456789ab";
const layout = new Layout("aether", "default", LOG);
const subject = layout.subject("order");
const encoder = new CommitEncoder(LOG, crc32);
const decoder = new CommitDecoder(LOG, layout, crc32);
const BODY = '[{"id":"x","eventType":"Noted","timestamp":"2026-01-01T00:00:00.000Z","data":"\u20ac"}]';

const FIELDS = {
  commitId: "0123456789abcdef01230",
  previousVersion: 3,
  fence: 2,
  unfenced: true,
  previousSequence: 8,
  trail: Trail.EMPTY.after(4).after(8),
};

/** The bytes of a message, with the headers that the server adds to a direct read if there are any. */
function stored({ data, headers }: OutgoingMessage, added = ""): { whole: Uint8Array; headerLength: number } {
  const block = headers!.encode();
  const head = new Uint8Array([...block.subarray(0, -2), ...bytes(added), ...bytes("\r\n")]);
  return { whole: new Uint8Array([...head, ...data]), headerLength: head.length };
}

function read(whole: Uint8Array, headerLength: number, sequence = 20): OrFault<StoredCommit> {
  return decoder.read({ subject, sequence, bytes: whole, headerLength });
}

Deno.test("CommitDecoder reads a repair as a commit that follows the last one before what it passes over", () => {
  const message = encoder.encodeRepair(subject, FIELDS, { lastSequence: 12, count: 3 });
  const { whole, headerLength } = stored(message);
  const commit = read(whole, headerLength);
  assert(!(commit instanceof DamagedHistoryError));
  assert.deepEqual(commit.events, []);
  assert.deepEqual(
    [commit.previousVersion, commit.previousSequence, commit.passedOver, commit.fence],
    [3, 8, 3, 2],
  );
  assert.deepEqual(commit.trail?.entries().map(({ sequence }) => sequence), [4, 8]);
  assert.equal(read(whole, headerLength, 12) instanceof DamagedHistoryError, true);
  // More than lies between, or nothing at all.
  for (const [lastSequence, count] of [[12, 5], [12, 0], [8, 1], [7, 1]] as const) {
    const { whole, headerLength } = stored(encoder.encodeRepair(subject, FIELDS, { lastSequence, count }));
    const fault = read(whole, headerLength);
    assert(fault instanceof DamagedHistoryError && isStray(fault), `${lastSequence} ${count}`);
  }
});

Deno.test("CommitDecoder takes no commit in which a bit has changed for a message of another program", () => {
  const versions = [5];
  const commit = encoder.encode(subject, BODY, { ...FIELDS, versions });
  const [batched] = batchOf([commit, commit]);
  const direct = "Nats-Stream: aether_default\r\nNats-Subject: x\r\nNats-Sequence: 20\r\n";
  const repair = encoder.encodeRepair(subject, FIELDS, { lastSequence: 12, count: 3 });
  const firstLine = "NATS/1.0\r\n".length;
  for (const [message, added] of [[commit, ""], [commit, direct], [batched!, ""], [repair, ""]] as const) {
    const { whole, headerLength } = stored(message, added);
    assert(!(read(whole, headerLength) instanceof DamagedHistoryError));
    for (let bit = firstLine * 8; bit < whole.length * 8; bit++) {
      const changed = whole.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      const found = read(changed, headerLength);
      const isTaken = !(found instanceof DamagedHistoryError);
      const shown = new TextDecoder("latin1").decode(changed);
      assert(isTaken || !isStray(found), `bit ${bit}: ${shown}: ${found}`);
    }
  }
});
