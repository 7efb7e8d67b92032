/** Two servers as they are at an edge: a hub and a leaf node, each with JetStream in a domain of its own, one account. */

import { type NatsServer, type NatsServerOptions, startNatsServer } from "./nats_server.ts";
import { freePort } from "./ports.ts";

/** A hub and a leaf node. Disposing of it stops both. */
export interface HubAndLeaf extends AsyncDisposable {
  /** The server in the JetStream domain `hub`. */
  readonly hub: NatsServer;
  /** The server in the JetStream domain `leaf`. */
  readonly leaf: NatsServer;
  /** Waits until the leaf node is connected to the hub. */
  connected(): Promise<void>;
}

/**
 * Starts both, and waits until they are connected.
 *
 * @param hubDomain The hub's domain; without one it has none.
 */
export async function startHubAndLeaf(hubDomain: string | undefined = "hub"): Promise<HubAndLeaf> {
  const port = freePort();
  const jetstream = hubDomain === undefined ? {} : { domain: hubDomain };
  const hub = await startNatsServer({ jetstream, config: { leafnodes: { listen: `127.0.0.1:${port}` } } });
  const remotes = [{ urls: [`nats-leaf://127.0.0.1:${port}`] }];
  const options: NatsServerOptions = {
    jetstream: { domain: "leaf" },
    config: { leafnodes: { reconnect: 1, remotes } },
  };
  const leaf = await startNatsServer(options).catch(async (error) => {
    await hub.stop();
    throw error;
  });
  const pair: HubAndLeaf = {
    hub,
    leaf,
    async connected(): Promise<void> {
      for (let tries = 0; await leafNodes(hub) === 0; tries++) {
        if (tries > 500) throw new Error("The leaf node does not connect to the hub");
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await leaf.stop();
      await hub.stop();
    },
  };
  await pair.connected();
  return pair;
}

async function leafNodes({ monitoringUrl }: NatsServer): Promise<number> {
  const response = await fetch(`${monitoringUrl}/leafz`);
  const { leafnodes } = await response.json() as { leafnodes?: number };
  return leafnodes ?? 0;
}
