/**
 * Events that expire at the moment a test chooses, and tests that need the passing of time itself.
 *
 * @module
 */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { PATIENT } from "./patient.ts";
import { until } from "./until.ts";

/** So long that nothing expires by itself while a test runs, in milliseconds. */
export const LONG_RETENTION = 3_600_000;

/** Which messages of a stream expire. */
export interface Expiry {
  /** @default {"aether_default"} */
  readonly stream?: string;
  /** How many of its last messages are kept. @default {0} */
  readonly kept?: number;
}

/**
 * Lets a server remove the first messages of a stream now, as it does when they have become too old: an operator
 * lowers a limit for a moment. So no clock decides what a test finds.
 */
export async function expire(
  url: string,
  { stream = "aether_default", kept = 0 }: Expiry = {},
): Promise<void> {
  await using connection = await connected(url);
  const ask = async (call: string, request: unknown = ""): Promise<{
    readonly config: Readonly<Record<string, unknown>>;
    readonly state: { readonly messages: number };
  }> => {
    const answer = await connection.request(
      `$JS.API.STREAM.${call}.${stream}`,
      JSON.stringify(request),
      PATIENT,
    );
    const result = answer.json<{ error?: unknown } & Awaited<ReturnType<typeof ask>>>();
    if (result.error) throw new Error(`${call}: ${JSON.stringify(result.error)}`);
    return result;
  };
  const { config } = await ask("INFO");
  // The shortest age that a server takes; a number of messages cannot be zero.
  const limit = kept === 0 ? { max_age: 100_000_000 } : { max_msgs: kept, discard: "old" };
  await ask("UPDATE", { ...config, ...limit });
  await until("the messages to expire", async () => (await ask("INFO")).state.messages <= kept);
  await ask("UPDATE", config);
}

function connected(url: string): Promise<NatsConnection> {
  const { host, username, password } = new URL(url);
  const credentials = username === "" ? {} : { user: username, pass: password };
  const servers = host;
  return connect({
    servers,
    ...credentials,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 10,
    timeout: 60_000,
  });
}

/** How often a machine is given twice the time. */
const TRIES = 4;

/**
 * Runs what must happen at a certain age of the events, as the remembering of actors in the oldest tenth of the
 * retention. If it fails, and the machine stood still meanwhile for a part of that time, it runs again with twice the
 * retention: a store that is stopped for so long can keep no such time.
 *
 * @param retention The first retention, in milliseconds.
 */
export async function withRetention(
  retention: number,
  scenario: (retention: number, pulse: Pulse) => Promise<void>,
): Promise<void> {
  for (let count = 1;; count++, retention *= 2) {
    await using pulse = new Pulse();
    try {
      return await scenario(retention, pulse);
    } catch (error) {
      if (count === TRIES || pulse.longest < retention / 40) throw error;
      console.warn(
        `the machine stood still for ${Math.round(pulse.longest)} ms: again with a longer retention`,
      );
    }
  }
}

/** Measures for how long at most this process, or a server that it watches, has stood still. */
export class Pulse implements AsyncDisposable {
  readonly #over = new AbortController();
  readonly #beats: Promise<void>[] = [];
  #longest = 0;

  constructor() {
    this.#beat(() => Promise.resolve());
  }

  /** The longest standstill, in milliseconds. */
  get longest(): number {
    return this.#longest;
  }

  /** Watches a server too. The time in which it is shut down does not count. */
  async watch(url: string): Promise<void> {
    const connection = await connected(url);
    this.#beat(async () => void await connection.rtt(), () => connection.close());
  }

  #beat(beat: () => Promise<void>, end?: () => Promise<void>): void {
    this.#beats.push((async () => {
      let last = performance.now();
      while (!this.#over.signal.aborted) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        await beat().catch(() => {});
        this.#longest = Math.max(this.#longest, performance.now() - last);
        last = performance.now();
      }
      await end?.();
    })());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await Promise.all(this.#beats);
  }
}
