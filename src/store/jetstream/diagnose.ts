/**
 * What weakens the promises of a store on JetStream, as findings.
 *
 * @module
 */

import type { Finding } from "../types.ts";
import type { NatsConnection } from "../../nats/connection.ts";
import type { JetStreamContext } from "./context.ts";
import { findHearers, heardTwice } from "./hearers.ts";
import type { Layout } from "./format/layout.ts";
import { isTransient } from "../../nats/jetstream/api_errors.ts";
import type { StreamInfo } from "../../nats/jetstream/api_types.ts";
import { ONE_YEAR, retentionOf } from "./retention/retention.ts";
import { streamDifferences } from "./format/stream_config.ts";
import type { KvBucket } from "../../nats/jetstream/kv_bucket.ts";
import type { ExpiringActors } from "./retention/expiring_actors.ts";

/** Clocks that are further apart than this are a finding, in milliseconds. */
const CLOCK_TOLERANCE = 1_000;
/** A replica that is so many operations behind is a finding. */
const LAG_TOLERANCE = 10_000;

/** All findings. */
export async function diagnose(
  { connection, log: unlimited }: JetStreamContext,
  bucket: KvBucket,
  expiring: ExpiringActors,
  signal: AbortSignal | undefined,
): Promise<Finding[]> {
  const log = unlimited.until(signal);
  const before = Date.now();
  let info: StreamInfo;
  try {
    info = await log.info();
  } catch (error) {
    // An operator asks for it while servers do not answer.
    if (!isTransient(error) || log.isClosed) throw error;
    return [withoutLeader(error instanceof Error ? error.message : String(error)), ...server(connection)];
  }
  const after = Date.now();
  return [
    ...settings(log.layout, info),
    ...replicas(info),
    ...bucketReplicas(info, await infoOf(bucket, signal)),
    ...durability(info),
    ...retention(info),
    ...await preservation(expiring, signal),
    ...limits(info),
    ...server(connection),
    ...clocks(info, before, after),
    ...await hearing(connection, log.layout, signal),
  ];
}

function settings(layout: Layout, { config }: StreamInfo): Finding[] {
  const differences = streamDifferences(() => layout, config, { retention: undefined, replicas: undefined });
  return differences.map(({ setting, expected, actual }): Finding => ({
    code: "stream-changed",
    severity: "critical",
    message:
      `The stream's ${setting} was changed to ${JSON.stringify(actual)}: the log may not be append-only, ` +
      "and events can be lost or refused",
    advice: `Set ${setting} to ${JSON.stringify(expected)} again, and find out who changed it`,
  }));
}

function replicas({ config, cluster }: StreamInfo): Finding[] {
  const findings: Finding[] = [];
  const count = Number(config.num_replicas ?? 1);
  if (count === 1) {
    findings.push({
      code: "one-replica",
      severity: "warning",
      message: "Events are on one server: unavailable while it is down, and lost with its disk",
      advice: "Open the store with { replicas: 3 } on a cluster of three servers, on three machines",
    });
  }
  if (count > 1 && !cluster?.leader) findings.push(withoutLeader("it names none"));
  for (const { name, offline, current, lag = 0 } of cluster?.replicas ?? []) {
    if (!offline && current && lag < LAG_TOLERANCE) continue;
    findings.push({
      code: offline ? "replica-offline" : "replica-behind",
      severity: offline ? "critical" : "warning",
      message: offline
        ? `The replica on "${name}" is offline: one more failure may stop the stream`
        : `The replica on "${name}" is ${lag} operations behind its leader`,
      advice: offline
        ? "Bring the server back, or replace the peer"
        : "Look at the server's disk and network",
    });
  }
  return findings;
}

/** The stream behind the bucket; `undefined` if there is none, or no answer: the findings about the log matter more. */
async function infoOf(bucket: KvBucket, signal: AbortSignal | undefined): Promise<StreamInfo | undefined> {
  try {
    return await bucket.info(signal);
  } catch (error) {
    signal?.throwIfAborted();
    if (!isTransient(error)) throw error;
    return undefined;
  }
}

/** What protects the versions of actors, and marks the log's end, is to outlive what the log outlives. */
function bucketReplicas({ config }: StreamInfo, bucket: StreamInfo | undefined): Finding[] {
  const count = Number(config.num_replicas ?? 1);
  const found = Number(bucket?.config.num_replicas ?? 1);
  if (bucket === undefined || found >= count) return [];
  return [{
    code: "bucket-replicas",
    severity: "warning",
    message:
      `The stream "${config.name}" has ${count} replicas, and its bucket "${bucket.config.name}" has ${found}: ` +
      "snapshots, the mark of the log's end and what is remembered of expired actors are lost before the events are",
    advice: `Set num_replicas of "${bucket.config.name}" to ${count}`,
  }];
}

function withoutLeader(reason: string): Finding {
  return {
    code: "no-leader",
    severity: "critical",
    message:
      `The stream has no leader at the moment (${reason}): nothing can be saved, and reads are refused`,
    advice: "Bring back servers until a majority of the replicas runs",
  };
}

function durability({ config }: StreamInfo): Finding[] {
  const count = Number(config.num_replicas ?? 1);
  return [{
    code: "sync-unknown",
    severity: count === 1 ? "warning" : "info",
    message:
      "How often the server flushes to the disk is not known to a client; by default every two minutes. " +
      (count === 1
        ? "What was saved since is lost if the machine, not only the server, goes down"
        : "What was saved since is lost if the machines of a majority go down together"),
    advice: 'Set "sync_interval: always" in the jetstream block of every server',
  }];
}

function retention({ config, state }: StreamInfo): Finding[] {
  const kept = retentionOf(config);
  if (kept === Infinity) return [];
  const days = (kept / (ONE_YEAR / 365)).toFixed(kept < ONE_YEAR / 365 ? 3 : 0);
  const findings: Finding[] = [{
    code: "retention",
    severity: "info",
    message:
      `Events are removed after ${days} days. Actors that lose all their events are remembered only if a ` +
      "store is open from time to time before that, or preserveExpiringActors() is called",
    advice: 'Open the store with { retention: "forever" } if history must be kept, or take snapshots in time',
  }];
  if (state.first_seq > 1) {
    findings.push({
      code: "history-removed",
      severity: "info",
      message: `Retention has removed ${state.first_seq - 1} commits from the beginning of the log`,
      advice: 'Read the log after "first-kept", and replay actors from snapshots',
    });
  }
  return findings;
}

async function preservation(expiring: ExpiringActors, signal: AbortSignal | undefined): Promise<Finding[]> {
  if (!await expiring.isLate(signal)) return [];
  return [{
    code: "preserve-late",
    severity: "warning",
    message: "Commits are about to expire that no run has read: if an actor loses all its events, its " +
      "versions and fencing token are forgotten, and may be used again",
    advice: "Call preserveExpiringActors() now, and read the warnings of the open stores: their runs fail",
  }];
}

async function hearing(
  connection: NatsConnection,
  layout: Layout,
  signal: AbortSignal | undefined,
): Promise<Finding[]> {
  const others = await findHearers(connection, layout, signal);
  if (others.length === 0) return [];
  return [{
    code: "subject-heard-twice",
    severity: "critical",
    message: heardTwice(layout, others),
    advice:
      `Let no other stream hear "${layout.all}": change its subjects, or what the leaf node or import passes on`,
  }];
}

function limits({ config, state }: StreamInfo): Finding[] {
  const most = Number(config.max_bytes ?? -1);
  if (most <= 0) return [];
  const used = Math.round(state.bytes / most * 100);
  return [{
    code: "size-limit",
    severity: used >= 80 ? "warning" : "info",
    message:
      `The stream may hold ${most} bytes, of which ${used} % are used: when it is full, saves are refused`,
    advice: "Raise max_bytes in time",
  }];
}

function server({ info }: NatsConnection): Finding[] {
  if (!info) return [];
  return [{
    code: "server-version",
    severity: "info",
    message: `The server "${info.server_name}" runs version ${info.version}`,
    advice: "Follow the releases of nats-server: several have fixed losses of data",
  }];
}

function clocks({ ts }: StreamInfo, before: number, after: number): Finding[] {
  const theirs = Date.parse(ts ?? "");
  if (Number.isNaN(theirs)) return [];
  const apart = theirs < before ? before - theirs : theirs > after ? theirs - after : 0;
  if (apart <= CLOCK_TOLERANCE) return [];
  return [{
    code: "clocks-apart",
    severity: "warning",
    message:
      `The server's clock and this machine's are ${
        (apart / 1_000).toFixed(1)
      } s apart: timestamps of events, ` +
      "made here, and their retention, counted there, differ",
    advice: "Run NTP on every machine",
  }];
}
