/**
 * Publications that leave together, as one piece of text: each one alone costs the client three pieces, two checks and
 * two encodings.
 *
 * @module
 */

import { utf8 } from "../event/text.ts";
import type { NatsConnection } from "./connection.ts";

/**
 * What a connection of `@nats-io/nats-core` sends with. That is not part of its interface: it is used where it looks as
 * expected, and where it does not, what the connection's interface offers is used for each publication.
 */
interface CoreConnection {
  readonly protocol?: {
    sendCommand?: unknown;
    outMsgs?: unknown;
    outBytes?: unknown;
  };
}

/**
 * Publishes several short payloads to one subject, in their order.
 *
 * @param payloads Nothing but ASCII.
 * @param reply Where the answers to all of them shall go.
 * @throws What the connection's `publish()` throws, and then nothing was sent.
 */
export function publishAll(
  connection: NatsConnection,
  subject: string,
  payloads: readonly string[],
  reply: string,
): void {
  const [first, ...others] = payloads;
  if (first === undefined) return;
  // The connection itself looks at the subjects, and whether it still takes anything.
  connection.publish(subject, utf8(first), { reply });
  if (others.length === 0) return;
  const { protocol } = connection as CoreConnection;
  if (typeof protocol?.sendCommand !== "function") {
    for (const payload of others) connection.publish(subject, utf8(payload), { reply });
    return;
  }
  const head = `PUB ${subject} ${reply} `;
  let frames = "";
  let bytes = 0;
  for (const payload of others) {
    frames += `${head}${payload.length}\r\n${payload}\r\n`;
    bytes += payload.length;
  }
  protocol.sendCommand(frames);
  // What the connection counts for its statistics.
  if (typeof protocol.outMsgs === "number") protocol.outMsgs += others.length;
  if (typeof protocol.outBytes === "number") protocol.outBytes += bytes;
}
