/**
 * Which other streams hear the subjects of a log. One JetStream domain allows a single one; a stream of another domain,
 * across a leaf node or an account's import, may hear them too.
 *
 * @module
 */

import { createInbox, type NatsConnection } from "../../nats/connection.ts";
import { encodeHeaders } from "../../nats/headers.ts";
import { sleep } from "../../sleep.ts";
import { AcknowledgementReader, type Answerer } from "../../nats/jetstream/acknowledgement.ts";
import type { Layout } from "./format/layout.ts";
import type { JetStreamRequests } from "../../nats/jetstream/requests.ts";

/** No stream has this as its last sequence: every stream that hears the message refuses it, and names itself. */
const IMPOSSIBLE_SEQUENCE = String(Number.MAX_SAFE_INTEGER);
/** How long to wait for the stream itself, in milliseconds. */
const FIRST_ANSWER = 1_000;
/** How long to wait for others after that, in milliseconds. */
const FURTHER_ANSWERS = 200;

/** The streams other than the log's own that hear its subjects. Nothing is stored. */
export async function findHearers(
  connection: NatsConnection,
  layout: Layout,
  signal?: AbortSignal,
): Promise<Answerer[]> {
  const found: Answerer[] = [];
  const answers = new AcknowledgementReader(layout.stream, undefined, (answerer) => found.push(answerer));
  const inbox = createInbox(connection);
  const answered = new AbortController();
  const subscription = connection.subscribe(inbox, {
    callback: (_error, message) => {
      if (message?.data === undefined) return;
      if (!answers.read(message.data)) return;
      // A second stream of the same name: a copy of this one, in another domain.
      if (answered.signal.aborted) found.push({ stream: layout.stream, domain: undefined });
      answered.abort();
    },
  });
  try {
    const headers = encodeHeaders([["Nats-Expected-Last-Sequence", IMPOSSIBLE_SEQUENCE]]);
    connection.publish(layout.noActor, new Uint8Array(0), { reply: inbox, headers });
    const ending = signal ? AbortSignal.any([answered.signal, signal]) : answered.signal;
    await sleep(FIRST_ANSWER, ending).catch(() => {});
    await sleep(FURTHER_ANSWERS, signal);
  } finally {
    if (!connection.isClosed()) subscription.unsubscribe();
  }
  return found;
}

/** The streams of the same domain that hear a subject, by name; none if the server does not answer. */
export async function streamsHearing(
  requests: JetStreamRequests,
  subject: string,
): Promise<readonly string[]> {
  try {
    const { streams } = await requests.request<{ streams?: string[] | null }>("STREAM.NAMES", { subject });
    return streams ?? [];
  } catch {
    return [];
  }
}

/** What is wrong if other streams hear the log's subjects. */
export function heardTwice({ stream }: Layout, others: readonly Answerer[]): string {
  const names = others.map((other) => {
    if (other.domain !== undefined) return `"${other.stream}" of the JetStream domain "${other.domain}"`;
    return other.stream === stream ? `"${stream}" of another JetStream domain` : `"${other.stream}"`;
  });
  return `The events of stream "${stream}" are also heard by ${
    [...new Set(names)].join(" and ")
  }: what is stored ` +
    "there is no part of this log, and acknowledgements from there do not count.";
}
