/**
 * The store on JetStream beside the stock client, and beside what the wire alone can do, on the same server.
 *
 * @module
 */

import { JetStreamEventStore } from "../../src/store/jetstream/mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import type { Group, GroupOptions } from "./harness.ts";
import { Raw } from "./jetstream_raw.ts";
import { readRows } from "./jetstream_read.ts";
import { writeRows } from "./jetstream_write.ts";

/** The rows of the store on JetStream. */
export async function open({ quick }: GroupOptions): Promise<Group> {
  const server = await startNatsServer();
  const { url } = server;
  const store = await JetStreamEventStore.open(url, { namespace: "write" });
  const raw = await Raw.open(url, "raw");
  const closing: (() => Promise<void>)[] = [() => raw[Symbol.asyncDispose](), () => store.close()];
  const shared = { url, raw, quick, closing: (close: () => Promise<void>): void => void closing.push(close) };
  return {
    rows: [...writeRows({ ...shared, store }), ...readRows(shared)],
    async [Symbol.asyncDispose](): Promise<void> {
      for (const close of closing.reverse()) await close();
      await server.stop();
    },
  };
}
