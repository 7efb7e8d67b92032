/** Events that expire at the moment a test chooses. */
import { connectPatiently, PATIENT } from "./patient.ts";
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
  await using connection = await connectPatiently(url);
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
