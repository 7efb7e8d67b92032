/**
 * The baselines on JetStream: the stock client used in the obvious way, and the lean publisher and reads without a store.
 *
 * @module
 */

import assert from "node:assert/strict";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { connectTo } from "../../src/nats/connect.ts";
import type { NatsConnection } from "../../src/nats/connection.ts";
import { ConnectionState } from "../../src/nats/connection_state.ts";
import { EXPECTED_SEQUENCE } from "../../src/nats/jetstream/header_names.ts";
import { AcknowledgementReader } from "../../src/nats/jetstream/acknowledgement.ts";
import { publishBatch } from "../../src/nats/jetstream/batch.ts";
import { Publisher } from "../../src/nats/jetstream/publisher.ts";
import { JetStreamRequests } from "../../src/nats/jetstream/requests.ts";
import { utf8 } from "../../src/text.ts";
import { medianTime } from "./harness.ts";

/** The data of an event that takes about 256 bytes as JSON. */
function eventData(number: number): unknown {
  return { number, pad: "x".repeat(110) };
}

/** An event of that size. */
export function event(number: number): { eventType: string; data: unknown } {
  return { eventType: "OrderPlaced", data: eventData(number) };
}

/** A body of 256 bytes. */
export function rawBody(number: number): Uint8Array {
  return utf8(JSON.stringify({ number, pad: "x".repeat(220) }).padEnd(256));
}

/** What stands in the place of the store's own header, of the same size. */
const FILLER = "1 0123456789abcdef01234a0 1 1 0 - - 01234567";

/** Raw access to one stream, append-only as the store's. */
export class Raw implements AsyncDisposable {
  /** The connection. */
  readonly connection: NatsConnection;
  readonly #state: ConnectionState;
  readonly #publisher: Publisher;
  /** The API. */
  readonly requests: JetStreamRequests;
  /** The stream's name. */
  readonly stream: string;

  private constructor(connection: NatsConnection, stream: string) {
    this.connection = connection;
    this.#state = new ConnectionState(connection);
    this.#publisher = new Publisher(this.#state, new AcknowledgementReader(stream, undefined));
    this.requests = new JetStreamRequests(this.#state);
    this.stream = stream;
  }

  /** Connects, and creates the stream. */
  static async open(url: string, stream: string, replicas = 1): Promise<Raw> {
    const raw = new Raw(await connectTo(url), stream);
    await raw.requests.createStream({
      name: stream,
      subjects: [`${stream}.>`],
      storage: "file",
      discard: "new",
      deny_delete: true,
      deny_purge: true,
      allow_direct: true,
      allow_atomic: true,
      num_replicas: replicas,
      duplicate_window: 100_000_000,
    });
    return raw;
  }

  /** Publishes one message with an expectation; its sequence. */
  async publish(subject: string, number: number, expected: number): Promise<number> {
    const block = utf8(`NATS/1.0\r\n${EXPECTED_SEQUENCE}: ${expected}\r\nAether: ${FILLER}\r\n\r\n`);
    const message = {
      subject: `${this.stream}.${subject}`,
      data: rawBody(number),
      headers: { encode: () => block },
    };
    const outcome = await this.#publisher.publish(message);
    assert.equal(outcome.status, "stored");
    return outcome.status === "stored" ? outcome.sequence : 0;
  }

  /** Publishes one message to each subject as an atomic batch, each with an expectation. */
  async publishBatch(subjects: readonly string[]): Promise<void> {
    const block = utf8(`NATS/1.0\r\n${EXPECTED_SEQUENCE}: 0\r\nAether: ${FILLER}\r\n\r\n`);
    const headers = { encode: () => block };
    const messages = subjects.map((subject, number) => {
      return { subject: `${this.stream}.${subject}`, data: rawBody(number), headers };
    });
    assert.equal((await publishBatch(this.#publisher, messages)).status, "stored");
  }

  /** The sequence of the last message, from the leader; 0 without one. */
  async lastSequence(): Promise<number> {
    return (await this.requests.getMessage(this.stream, { last_by_subj: ">" }))?.sequence ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#publisher.close();
    this.requests.close();
    this.#state.close();
    await this.connection.close();
  }
}

/** The stock `js.publish` with an expectation, so many in flight: messages a second. */
export async function stockRate(
  url: string,
  stream: string,
  count: number,
  inFlight: number,
): Promise<number> {
  const connection = await connect({ servers: url });
  try {
    const js = jetstream(connection);
    let next = 0;
    const begun = performance.now();
    await Promise.all(Array.from({ length: inFlight }, async () => {
      while (next < count) {
        const number = next++;
        const { seq } = await js.publish(`${stream}.stock-${crypto.randomUUID()}`, rawBody(number), {
          expect: { lastSubjectSequence: 0 },
        });
        assert(seq > 0);
      }
    }));
    return count / (performance.now() - begun) * 1_000;
  } finally {
    await connection.close();
  }
}

/** The stock `js.publish` with an expectation, one after the other on one subject: the median in milliseconds. */
export async function stockTime(url: string, subject: string, count: number): Promise<number> {
  const connection = await connect({ servers: url });
  try {
    const js = jetstream(connection);
    let last = 0;
    return await medianTime(count, async (number) => {
      const { seq } = await js.publish(subject, rawBody(number), { expect: { lastSubjectSequence: last } });
      assert(seq > last);
      last = seq;
    });
  } finally {
    await connection.close();
  }
}

/** The stock ordered consumer on one subject, every message parsed: milliseconds. */
export async function stockReplay(
  url: string,
  stream: string,
  subject: string,
  count: number,
): Promise<number> {
  const connection = await connect({ servers: url });
  try {
    const manager = await jetstreamManager(connection);
    const begun = performance.now();
    const consumer = await manager.jetstream().consumers.get(stream, { filter_subjects: subject });
    let seen = 0;
    for await (const message of await consumer.consume()) {
      assert((message.json() as unknown[]).length > 0);
      if (++seen === count) break;
    }
    return performance.now() - begun;
  } finally {
    await connection.close();
  }
}
