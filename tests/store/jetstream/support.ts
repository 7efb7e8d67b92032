/**
 * What the tests of the JetStream parts begin with: a connection, its state, and the API.
 *
 * @module
 */
import { connectTo } from "../../../src/nats/connect.ts";
import type { NatsConnection } from "../../../src/nats/connection.ts";
import { ConnectionState } from "../../../src/nats/connection_state.ts";
import { JetStreamRequests } from "../../../src/nats/jetstream/requests.ts";
import type { StreamConfig } from "../../../src/nats/jetstream/api_types.ts";
import { PATIENT } from "../../support/patient.ts";
import { until as untilHolds } from "../../support/until.ts";

/** A connection with what hangs on it. Disposing of it closes all of it. */
export interface Client extends AsyncDisposable {
  /** The connection. */
  readonly connection: NatsConnection;
  /** Its state. */
  readonly state: ConnectionState;
  /** The JetStream API. */
  readonly requests: JetStreamRequests;
}

/** Connects to a server. */
export async function client(url: string | readonly string[], timeout = 30_000): Promise<Client> {
  const connection = await connectTo(url, {
    client: { reconnectTimeWait: 20, ignoreClusterUpdates: true, ...PATIENT },
  });
  const state = new ConnectionState(connection);
  const requests = new JetStreamRequests(state, { timeout });
  return {
    connection,
    state,
    requests,
    async [Symbol.asyncDispose](): Promise<void> {
      requests.close();
      state.close();
      await connection.close();
    },
  };
}

/** A stream `S` for the subjects `s.>`, append-only as the store's own. */
export const STREAM: StreamConfig = {
  name: "S",
  subjects: ["s.>"],
  storage: "file",
  discard: "new",
  deny_delete: true,
  deny_purge: true,
  allow_direct: true,
  allow_atomic: true,
};

/** Waits until a condition holds, whose name is optional here. */
export function until(condition: () => boolean | Promise<boolean>, what = "the condition"): Promise<void> {
  return untilHolds(what, condition);
}

/** Waits a while. */
export async function sleep(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** A text's bytes. */
export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The text of bytes. */
export function text(data: Uint8Array | undefined): string {
  return new TextDecoder().decode(data);
}
