/** A host whose node is in the memory of the test, and whose calls come over a real NATS server. */

import { ActorHost, type ActorHostOptions, type Event } from "@flowmade-one/aether/actor";
import { type Bucket, Coordinator } from "@flowmade-one/aether/cluster";
import { connect, type ConnectionOptions } from "@nats-io/transport-node";
import { until } from "../support/until.ts";

/** A host and its node. */
export interface Node extends AsyncDisposable {
  readonly host: ActorHost;
  readonly coordinator: Coordinator;
  readonly name: string;
}

/** What a node is started with. */
export interface NodeOptions<E extends Event> extends Omit<ActorHostOptions<E>, "cluster"> {
  readonly url: string;
  readonly bucket: Bucket;
  readonly name: string;
  readonly connect?: ConnectionOptions;
  readonly shardCount?: number;
  readonly ttl?: number;
}

/** Starts a host; it leaves its cluster before it is closed. */
export async function startNode<E extends Event>(
  { url, bucket, name, connect: credentials, shardCount = 16, ttl = 5_000, ...options }: NodeOptions<E>,
): Promise<Node> {
  const connection = await connect({ servers: url, ...credentials });
  const coordinator = await Coordinator.join(bucket, { name, shardCount, ttl });
  const host = await ActorHost.start({ ...options, cluster: { coordinator, connection } });
  return {
    host,
    coordinator,
    name,
    async [Symbol.asyncDispose](): Promise<void> {
      await coordinator.leave();
      await host.close();
      await connection.close();
    },
  };
}

/** Waits until a node has so many shards. */
export async function owns({ name, coordinator }: Node, shards: number): Promise<void> {
  await until(`${name} owns ${shards} shards`, () => [...coordinator.shards].length >= shards);
}
