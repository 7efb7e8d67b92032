/**
 * Publications that leave together, as one piece of text: each one alone costs the client three pieces, two checks and
 * two encodings.
 *
 * @module
 */

import { utf8 } from "../text.ts";
import type { NatsConnection } from "./connection.ts";
import { isOpenedHere, protocolFor } from "./sender.ts";

/**
 * Publishes several short payloads to one subject, in their order.
 *
 * @param payloads Only ASCII.
 * @param reply Where to send the answers to all of them.
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
  const protocol = isOpenedHere(connection) ? protocolFor(connection, 0) : undefined;
  if (!protocol) {
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
  protocol.outMsgs += others.length;
  protocol.outBytes += bytes;
}
