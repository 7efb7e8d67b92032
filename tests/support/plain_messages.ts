/**
 * A connection that hands out messages which are nothing but what the interface of a message says, as one of another
 * make would.
 *
 * @module
 */

import type { NatsConnection, NatsMessage } from "../../src/nats/connection.ts";

/** What the interface offers of a message, and no more. */
export function interfaceOf({ subject, reply, data, headers }: NatsMessage): NatsMessage {
  return {
    subject,
    ...(reply ? { reply } : {}),
    data: data.slice(),
    ...(headers && {
      headers: {
        code: headers.code,
        description: headers.description,
        keys: (): Iterable<string> => headers.keys(),
        get: (name: string): string => headers.get(name),
      },
    }),
  };
}

/** A connection whose subscriptions get such messages. */
export function withPlainMessages(connection: NatsConnection): NatsConnection {
  return new Proxy(connection, {
    get(target, property): unknown {
      if (property === "subscribe") {
        const subscribe: NatsConnection["subscribe"] = (subject, { callback }) =>
          target.subscribe(subject, {
            callback: (error, message) => callback(error, error ? message : interfaceOf(message)),
          });
        return subscribe;
      }
      const value: unknown = Reflect.get(target, property);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
