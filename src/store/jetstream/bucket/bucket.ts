/**
 * The key-value bucket next to a stream of events: snapshots, the mark of the log's end, and what is remembered of actors
 * whose events have expired.
 *
 * @module
 */

import type { StreamConfig } from "../../../nats/jetstream/api_types.ts";
import type { Layout } from "../format/layout.ts";

/** How the stream behind the bucket is created. */
export function bucketConfig({ bucketStream, records }: Layout, replicas: number): StreamConfig {
  return {
    name: bucketStream,
    description: "Snapshots of Aether, and what it remembers of actors whose events have expired",
    subjects: [records],
    retention: "limits",
    storage: "file",
    discard: "new",
    num_replicas: replicas,
    max_msgs_per_subject: 1,
    max_age: 0,
    deny_delete: true,
    allow_rollup_hdrs: true,
    allow_direct: true,
  };
}
