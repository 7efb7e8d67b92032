/**
 * Opening a stream and the log in it.
 *
 * @module
 */

import { ConfigurationMismatchError, type SettingDifference } from "../../errors.ts";
import { sleep } from "../../sleep.ts";
import { loadChecksum } from "../checksum.ts";
import { ClosedError } from "../../errors.ts";
import { BackendError, StoreOpenError } from "../errors.ts";
import type { Warn } from "../../warning.ts";
import type { StoreSetup } from "../store_options.ts";
import { newLogId } from "../position.ts";
import type { StoreLimits } from "../types.ts";
import { AcknowledgementReader, type Answerer } from "../../nats/jetstream/acknowledgement.ts";
import { JetStreamBackend } from "./backend.ts";
import type { JetStreamContext } from "./context.ts";
import { bucketConfig } from "./bucket/bucket.ts";
import { KvBucket } from "../../nats/jetstream/kv_bucket.ts";
import { CommitEncoder } from "./format/commit_encoder.ts";
import { type ConnectOptions, openConnection } from "../../nats/connect.ts";
import type { NatsConnection } from "../../nats/connection.ts";
import { OPEN_PATIENCE } from "../../nats/patience.ts";
import { jetStreamDisabled } from "../../nats/errors.ts";
import { acknowledgedDomain, type JetStreamAddress } from "../../nats/jetstream/address.ts";
import { checkServer } from "../../nats/jetstream/server.ts";
import { findOrCreateStream } from "../../nats/jetstream/streams.ts";
import { ConnectionState } from "../../nats/connection_state.ts";
import { EndMark } from "./bucket/end_mark.ts";
import { EventLog } from "./read/event_log.ts";
import { logIdOf } from "./read/stream_identity.ts";
import { ExpiredActors } from "./retention/expired_actors.ts";
import { mayHaveExpired } from "./retention/retention.ts";
import { isDisabled, openError } from "./failures.ts";
import { ErrorCode } from "../../nats/jetstream/error_codes.ts";
import { Heads } from "./write/heads.ts";
import { findHearers, heardTwice, streamsHearing } from "./hearers.ts";
import { KnownActors } from "./write/known_actors.ts";
import { Layout, streamName } from "./format/layout.ts";
import { Publisher } from "../../nats/jetstream/publisher.ts";
import { CommitDecoder } from "./format/commit_decoder.ts";
import { MAX_EVENTS } from "./format/commit_header.ts";
import { JetStreamApiError, NoAnswerError } from "../../nats/jetstream/api_errors.ts";
import { JetStreamRequests } from "../../nats/jetstream/requests.ts";
import type { StreamConfig, StreamInfo } from "../../nats/jetstream/api_types.ts";
import { isOnOneOfMany, replicasLeftOut } from "../../nats/jetstream/streams.ts";
import { Snapshots } from "./bucket/snapshots.ts";
import { type StreamChoices, streamConfig, streamDifferences } from "./format/stream_config.ts";
import { ExpiringActors } from "./retention/expiring_actors.ts";
import { SoleWriter } from "./write/sole_writer.ts";
import { Writer } from "./write/writer.ts";

/** The options of a stream, with all defaults. */
export interface JetStreamSettings extends StreamChoices {
  /** The first levels of every subject. */
  readonly prefix: string;
  /** The JetStream domain. */
  readonly domain: string | undefined;
  /** The subjects of the JetStream API. */
  readonly address: JetStreamAddress;
  /** How long a save may take, in milliseconds. */
  readonly saveTimeout: number;
  /** How long a read may wait for a leader or a connection, in milliseconds. */
  readonly readTimeout: number;
  /** How long a single answer may take, in milliseconds. */
  readonly answerTimeout: number;
  /** How often the server reports while it has nothing to deliver, in milliseconds. */
  readonly heartbeat: number;
  /** How many actors' heads are kept. */
  readonly cachedActors: number;
  /** How many publications may be under way. */
  readonly maxInFlight: number;
  /** Whether a log that has lost its end is opened. */
  readonly acceptLostTail: boolean;
  /** How to connect, if a URL is given. */
  readonly connect: ConnectOptions;
}

/** The maximum size of the headers of a message: a thousand versions that are not consecutive, the trail, the rest. */
const HEADER_BYTES = 24 * 1024;
/** The minimum that every store must accept. */
const LEAST_COMMIT_BYTES = 256 * 1024;
const MOST_EVENT_BYTES = 512 * 1024;
const MOST_COMMIT_BYTES = 8 * 1024 * 1024;

/** How long to wait for the server to receive what was sent, when the connection is closed, in milliseconds. */
const CLOSE_PATIENCE = 500;

/** Opens a backend. */
export async function openJetStreamBackend(
  target: string | readonly string[] | NatsConnection,
  setup: StoreSetup,
  settings: JetStreamSettings,
): Promise<JetStreamBackend> {
  const layoutOf = (logId: string): Layout => new Layout(settings.prefix, setup.namespace, logId);
  const stream = streamName(settings.prefix, setup.namespace);
  const { connection, opened } = await openConnection(
    "urlOrConnection",
    target,
    settings.connect,
    setup.warn,
  );
  const state = new ConnectionState(connection);
  const closing: (() => void | Promise<void>)[] = [() => state.close()];
  const close = async (): Promise<void> => {
    for (const step of closing.splice(0).reverse()) await step();
  };
  closing.unshift(() => finish(connection, opened));
  try {
    const { address, answerTimeout: timeout, readTimeout: patience } = settings;
    checkConnection(connection, address);
    const requests = new JetStreamRequests(state, { timeout, apiPrefix: address.apiPrefix });
    closing.push(() => requests.close());
    const server = connection.info?.server_name ?? "";
    const info = await openStream(requests, stream, layoutOf, settings, server);
    const { config } = info;
    if (settings.replicas === undefined && isOnOneOfMany(info)) setup.warn(replicasLeftOut(stream));
    const logId = logIdOf(config)!;
    const layout = layoutOf(logId);
    const domain = acknowledgedDomain(address, connection);
    const warnOfHearers = hearersWarning(layout, setup.warn);
    const answers = new AcknowledgementReader(layout.stream, domain, (other) => warnOfHearers([other]));
    const { maxInFlight, saveTimeout } = settings;
    const publisher = new Publisher(state, answers, { timeout: Math.min(timeout, saveTimeout), maxInFlight });
    closing.push(() => publisher.close());
    // Without domains, a single stream has a subject.
    if (domain !== undefined) warnOfHearers(await findHearers(connection, layout));
    const checksum = await loadChecksum();
    const { warn } = setup;
    const asItIs: StreamChoices = { retention: undefined, replicas: undefined };
    const differences = (now: StreamConfig): SettingDifference[] =>
      streamDifferences(() => layout, now, asItIs);
    const replicas = Number(config.num_replicas ?? 1);
    const log = new EventLog({ state, requests, layout, config, patience, warn, differences });
    const decoder = new CommitDecoder(logId, layout, checksum);
    const bucket = new KvBucket({
      stream: layout.bucketStream,
      requests,
      publisher,
      address,
      domain,
      patience,
      config: bucketConfig(layout, replicas),
    });
    const expired = new ExpiredActors(bucket, layout, checksum);
    if (!log.config.expires && (mayHaveExpired(info) || await expired.explainsMissing(info.state))) {
      log.config.noteExpired();
    }
    const actors = new KnownActors(settings.cachedActors);
    const heads = new Heads(log, decoder, expired, actors);
    const { heartbeat } = settings;
    const context: JetStreamContext = { connection, log, decoder, heads, checksum, heartbeat, warn };
    const encoder = new CommitEncoder(logId, checksum);
    const sole = new SoleWriter();
    state.add(sole);
    const writer = new Writer(context, { encoder, actors, sole, publisher, timeout: saveTimeout });
    closing.push(() => writer.close());
    log.expiry.nothingExpired(performance.now()); // looked up, so that the first saves know it
    const snapshots = new Snapshots(bucket, log, checksum, warn);
    const limits = limitsOf(state.maxPayload);
    const expiring = new ExpiringActors(context, expired);
    closing.push(() => expiring.close());
    const endMark = new EndMark(context, bucket);
    closing.push(() => endMark.close());
    await endMark.start(settings.acceptLostTail);
    const side = { type: "jetstream", connection, address, bucket: layout.bucket, replicas } as const;
    return new JetStreamBackend({
      limits,
      side,
      context,
      writer,
      bucket,
      snapshots,
      expiring,
      endMark,
      close,
    });
  } catch (error) {
    const failure = openError(connection, stream, error);
    await close();
    throw failure;
  }
}

/** Waits until the server has received what was sent, and closes a connection that the store opened. */
async function finish(connection: NatsConnection, opened: boolean): Promise<void> {
  if (connection.isClosed()) return;
  const sent = new AbortController();
  const flushed = connection.flush().catch(() => {}).finally(() => sent.abort());
  await Promise.race([flushed, sleep(CLOSE_PATIENCE, sent.signal).catch(() => {})]);
  if (opened) await connection.close();
}

function checkConnection(connection: NatsConnection, address: JetStreamAddress): void {
  const { info } = connection;
  if (connection.isClosed()) throw new ClosedError("connection");
  if (!info) {
    throw new BackendError("open", "The NATS connection is down. Try again when it is up.", {
      reason: "unreachable",
    });
  }
  checkServer(connection, address);
  const least = LEAST_COMMIT_BYTES + HEADER_BYTES;
  if (info.max_payload < least) {
    throw new StoreOpenError(
      `The NATS server accepts messages of ${info.max_payload} bytes, and the event store needs ${least}. Raise ` +
        "max_payload on every server.",
    );
  }
}

function limitsOf(maxPayload: number): StoreLimits {
  const bytesPerCommit = Math.min(MOST_COMMIT_BYTES, maxPayload - HEADER_BYTES);
  const bytesPerEvent = Math.min(MOST_EVENT_BYTES, bytesPerCommit - "[]".length);
  return Object.freeze({ actorsPerCommit: 100, eventsPerCommit: MAX_EVENTS, bytesPerCommit, bytesPerEvent });
}

/** Makes the layout of a log by its id. */
type LayoutOf = (logId: string) => Layout;

/** The stream of the namespace, which is created if there is none. */
async function openStream(
  requests: JetStreamRequests,
  stream: string,
  layoutOf: LayoutOf,
  choices: StreamChoices,
  server: string,
): Promise<StreamInfo> {
  let config: StreamConfig | undefined;
  try {
    const configOf = (): StreamConfig => config = streamConfig(layoutOf(newLogId()), choices);
    const info = await findOrCreateStream(requests, stream, OPEN_PATIENCE, configOf);
    const differences = streamDifferences(layoutOf, info.config, choices);
    if (differences.length > 0) throw new ConfigurationMismatchError("stream", stream, differences);
    return info;
  } catch (error) {
    if (isDisabled(error) || (error instanceof NoAnswerError && error.why === "no responders")) {
      throw jetStreamDisabled(server, { cause: error });
    }
    if (error instanceof JetStreamApiError && error.code === ErrorCode.subjectsOverlap) {
      throw await overlapError(requests, stream, config!, error);
    }
    throw error;
  }
}

/** Names the streams that have the subjects already. */
async function overlapError(
  requests: JetStreamRequests,
  stream: string,
  { subjects }: StreamConfig,
  cause: JetStreamApiError,
): Promise<StoreOpenError> {
  const [subject = ""] = subjects as readonly string[];
  const others = await streamsHearing(requests, subject);
  const named = others.length === 0 ? "" : ` (${others.map((other) => `"${other}"`).join(", ")})`;
  return new StoreOpenError(
    `Cannot open the event store on stream "${stream}": another stream${named} hears its subjects "${subject}". ` +
      "Change the subjects of that stream, or open the store with another prefix or namespace.",
    { cause },
  );
}

/** Warns once of each other stream that has the log's subjects. */
function hearersWarning(layout: Layout, warn: Warn): (others: readonly Answerer[]) => void {
  const known = new Set<string>();
  return (others) => {
    const unknown = others.filter(({ stream }) => !known.has(stream));
    if (unknown.length === 0) return;
    for (const { stream } of unknown) known.add(stream);
    warn({ code: "subject-heard-twice", message: heardTwice(layout, unknown) });
  };
}
