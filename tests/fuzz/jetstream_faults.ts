/**
 * How a log in JetStream is put back to an earlier state, and how it is damaged.
 *
 * @module
 */

import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { encodeHeaders, type HeaderField } from "../../src/nats/headers.ts";
import type { StreamConfig } from "../../src/nats/jetstream/api_types.ts";
import type { StoredMessage } from "../../src/nats/jetstream/stored_message.ts";
import { EXPECTED_SEQUENCE } from "../../src/nats/jetstream/header_names.ts";
import { COMMIT_HEADER } from "../../src/store/jetstream/format/commit_header.ts";
import { Layout } from "../../src/store/jetstream/format/layout.ts";
import { bytes, type Client, text } from "../store/jetstream/support.ts";
import type { Plant } from "./fault_steps.ts";

const CHECKSUM_DIGITS = 8;

/** Everything that a stream holds. */
async function messagesOf({ requests }: Client, stream: string): Promise<StoredMessage[]> {
  const { state: { first_seq, last_seq } } = await requests.streamInfo(stream);
  const messages: StoredMessage[] = [];
  for (let seq = Math.max(1, first_seq); seq <= last_seq; seq++) {
    const message = await requests.getMessage(stream, { seq });
    assert(message, `sequence ${seq} is missing`);
    messages.push(message);
  }
  return messages;
}

/** The headers of a message. */
function headersOf({ bytes, headerLength }: StoredMessage): HeaderField[] {
  const lines = text(bytes.subarray(0, headerLength)).split("\r\n").slice(1).filter((line) => line !== "");
  return lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
}

/** Publishes a message, and returns the server's answer. */
async function publish(
  { connection }: Client,
  subject: string,
  data: Uint8Array,
  headers: readonly HeaderField[],
): Promise<{ readonly seq?: number; readonly error?: unknown }> {
  const options = { timeout: 60_000, ...(headers.length > 0 ? { headers: encodeHeaders(headers) } : {}) };
  return JSON.parse(text((await connection.request(subject, data, options)).data));
}

/** A copy of a stream: its configuration, with which a log has its id, and its messages in their order. */
export class StreamCopy {
  readonly #nats: Client;
  readonly #stream: string;
  #config: StreamConfig | undefined;
  #messages: readonly StoredMessage[] = [];

  constructor(nats: Client, stream: string) {
    this.#nats = nats;
    this.#stream = stream;
  }

  /** Copies it. */
  async take(): Promise<void> {
    this.#config = (await this.#nats.requests.streamInfo(this.#stream)).config;
    this.#messages = await messagesOf(this.#nats, this.#stream);
  }

  /** Makes it again with what was copied. The bucket next to it stays as it is. */
  async putBack(): Promise<void> {
    const { requests } = this.#nats;
    await requests.request(`STREAM.DELETE.${this.#stream}`);
    await requests.createStream(this.#config!);
    for (const message of this.#messages) {
      const headers = headersOf(message).filter(([name]) => !name.startsWith("Nats-Batch"));
      const { seq } = await publish(this.#nats, message.subject, message.data, headers);
      assert.equal(seq, message.sequence);
    }
  }
}

/** Publishes what no store has written to the subject of an actor. A message that the server refuses changes nothing. */
export async function plantMessage(
  nats: Client,
  namespace: string,
  { place, how, field, json, edit }: Plant,
): Promise<void> {
  const { config } = await nats.requests.streamInfo(new Layout("aether", namespace, "").stream);
  const logId = (config.metadata as Record<string, string>)["aether-log"]!;
  const layout = new Layout("aether", namespace, logId);
  const messages = await messagesOf(nats, layout.stream);
  const message = messages[place % messages.length]!;
  const { subject } = message;
  const last = messages.findLast((other) => other.subject === subject)!;
  const guard = `${last.sequence}`;
  const fields = (message.header(COMMIT_HEADER) ?? "").split(" ");
  let body = message.data;
  switch (how) {
    case "value":
      return void await publish(nats, subject, bytes(JSON.stringify(json) ?? ""), []);
    case "copy": {
      const headers = headersOf(message).map(([name, value]): HeaderField => [
        name,
        name === EXPECTED_SEQUENCE ? guard : value,
      ]);
      return void await publish(nats, subject, body, headers);
    }
    case "field":
      fields[field % (fields.length - 1)] = typeof json === "string" ? json : JSON.stringify(json) ?? "";
      break;
    case "bytes": {
      const at = Math.min(edit.at, body.length);
      body = new Uint8Array([
        ...body.subarray(0, at),
        ...edit.added,
        ...body.subarray(Math.min(body.length, at + edit.removed)),
      ]);
      fields[2] = `${Number(fields[2]) + (field % 2 ? Number(fields[3]) : 0)}`; // it may follow the commit before
    }
  }
  const head = fields.slice(0, -1).join(" ").replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 2_000);
  const covered = new Uint8Array([...body, ...bytes(`${subject} ${guard} ${head}`)]);
  const checksum = crc32(covered, crc32(bytes(logId))).toString(16).padStart(CHECKSUM_DIGITS, "0");
  const headers: HeaderField[] = [[EXPECTED_SEQUENCE, guard], [COMMIT_HEADER, `${head} ${checksum}`]];
  await publish(nats, subject, body, headers);
}
