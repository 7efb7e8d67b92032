/**
 * How the stream of a namespace is set up, and how an existing one differs from that.
 *
 * @module
 */

import type { SettingDifference } from "../../../errors.ts";
import { BackendError } from "../../errors.ts";
import { isLogId } from "../../position.ts";
import { LOG_FORMAT, LOG_ID, logIdOf } from "../read/stream_identity.ts";
import type { Layout } from "./layout.ts";
import type { StreamConfig } from "../../../nats/jetstream/api_types.ts";
import { maxAge, NANOSECONDS, ONE_YEAR, type Retention, retentionMetadata } from "../retention/retention.ts";

/** The shortest time that the server can be set to look for repeated message ids; the store sends no ids. */
const DUPLICATE_WINDOW_MS = 100;
const FORMAT = "1";

/** What can be chosen about a stream. `undefined` accepts an existing one as it is. */
export interface StreamChoices {
  /** How long events are kept. @default {one year} */
  readonly retention: Retention | undefined;
  /** How many servers keep each event. @default {1} */
  readonly replicas: number | undefined;
}

/** The configuration of a new stream. */
export function streamConfig(
  layout: Layout,
  { retention = ONE_YEAR, replicas = 1 }: StreamChoices,
): StreamConfig {
  return {
    ...appendOnly,
    name: layout.stream,
    subjects: [layout.all],
    description: "Events of Aether. Append-only: never purge it, delete from it, or publish to it by hand",
    num_replicas: replicas,
    max_age: maxAge(retention),
    duplicate_window: DUPLICATE_WINDOW_MS * NANOSECONDS,
    metadata: { [LOG_ID]: layout.logId, [LOG_FORMAT]: FORMAT, ...retentionMetadata(retention) },
  };
}

/** The settings that every stream of events must have: it is append-only, and the store needs these features. */
const appendOnly: Readonly<Record<string, unknown>> = {
  retention: "limits",
  storage: "file",
  discard: "new",
  deny_delete: true,
  deny_purge: true,
  allow_rollup_hdrs: false,
  allow_direct: true,
  allow_atomic: true,
  max_msgs_per_subject: -1,
  max_msgs: -1,
  compression: "none",
  sealed: false,
  no_ack: false,
  allow_msg_ttl: false,
  mirror: undefined,
  sources: undefined,
  subject_transform: undefined,
  republish: undefined,
  allow_msg_counter: false,
  allow_msg_schedules: false,
  persist_mode: "default",
};

/** Settings that the server leaves out of its answer, and their defaults. */
const DEFAULTS: Readonly<Record<string, unknown>> = {
  allow_rollup_hdrs: false,
  allow_direct: false,
  allow_atomic: false,
  deny_delete: false,
  deny_purge: false,
  sealed: false,
  no_ack: false,
  allow_msg_ttl: false,
  allow_msg_counter: false,
  allow_msg_schedules: false,
  compression: "none",
  persist_mode: "default",
  max_msgs: -1,
  max_msgs_per_subject: -1,
};

/**
 * Checks that a log has the format that this version reads. A message that it cannot read is then not a commit.
 *
 * @throws {BackendError} If it has another format.
 */
export function assertFormat({ metadata }: StreamConfig): void {
  const format = (metadata as Readonly<Record<string, string>> | undefined)?.[LOG_FORMAT];
  if (format === FORMAT) return;
  const reason =
    `the log has format "${format}", and this version of the library writes ${FORMAT}: update it`;
  throw new BackendError("repairActor", reason);
}

/** How an existing stream differs from what the store needs and was asked for; harmless settings are left out. */
export function streamDifferences(
  layoutOf: (logId: string) => Layout,
  actual: StreamConfig,
  { retention, replicas }: StreamChoices,
): SettingDifference[] {
  const metadata = actual.metadata as Readonly<Record<string, string>> | undefined;
  const logId = logIdOf(actual);
  const isLog = isLogId(logId);
  const expected: Record<string, unknown> = {
    ...appendOnly,
    ...(isLog ? { subjects: [layoutOf(logId).all] } : {}),
    ...(retention === undefined ? {} : { max_age: maxAge(retention) }),
    ...(replicas === undefined ? {} : { num_replicas: replicas }),
  };
  const differences: SettingDifference[] = [];
  for (const [setting, value] of Object.entries(expected)) {
    const found = actual[setting] ?? DEFAULTS[setting];
    if (JSON.stringify(found) !== JSON.stringify(value)) {
      differences.push({ setting, expected: value, actual: found });
    }
  }
  const format = metadata?.[LOG_FORMAT];
  if (format !== FORMAT) {
    differences.push({ setting: `metadata.${LOG_FORMAT}`, expected: FORMAT, actual: format });
  } else if (!isLog) {
    differences.push({ setting: `metadata.${LOG_ID}`, expected: "the log's id", actual: logId });
  }
  return differences;
}
