/**
 * What each server of a cluster has stored.
 *
 * @module
 */
import type { NatsCluster, NatsServer } from "../../../support/nats_server.ts";
import { EXPECTED_SEQUENCE } from "../../../../src/nats/jetstream/header_names.ts";
import { COMMIT_HEADER } from "../../../../src/store/jetstream/format/commit_header.ts";
import type { StoredMessage } from "../../../../src/nats/jetstream/stored_message.ts";
import { client, text, until } from "../support.ts";

const AT_ONCE = 256;
const HEADERS = [COMMIT_HEADER, EXPECTED_SEQUENCE];

/**
 * The messages of a stream as one server has them, as texts: it is made the leader, and answers for itself then.
 */
export async function replica(cluster: NatsCluster, server: NatsServer, stream: string): Promise<string[]> {
  await makeLeader(cluster, server, stream);
  await using nats = await client(server.url);
  const { state: { first_seq, last_seq } } = await nats.requests.streamInfo(stream);
  const messages: string[] = [];
  for (let sequence = first_seq; sequence <= last_seq; sequence += AT_ONCE) {
    const count = Math.min(AT_ONCE, last_seq - sequence + 1);
    const numbers = Array.from({ length: count }, (_, index) => sequence + index);
    const read = numbers.map((seq) => nats.requests.getMessage(stream, { seq }));
    for (const message of await Promise.all(read)) messages.push(shown(message));
  }
  return messages;
}

/** Makes a server the leader of a stream. */
export async function makeLeader(cluster: NatsCluster, server: NatsServer, stream: string): Promise<void> {
  await using nats = await client(server.url);
  const placement = { preferred: server.name };
  await until(async () => {
    if (await cluster.streamLeader(stream) === server) return true;
    await nats.requests.request(`STREAM.LEADER.STEPDOWN.${stream}`, { placement }).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 200));
    return false;
  }, `${server.name} to lead ${stream}`);
}

/** How many messages a stream has. */
export async function storedMessages(server: NatsServer, stream: string): Promise<number> {
  await using nats = await client(server.url);
  return (await nats.requests.streamInfo(stream)).state.messages;
}

function shown(message: StoredMessage | undefined): string {
  if (!message) return "missing";
  const { sequence, subject, time, data } = message;
  return JSON.stringify([
    sequence,
    subject,
    time,
    ...HEADERS.map((name) => message.header(name)),
    text(data),
  ]);
}
