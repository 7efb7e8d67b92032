/**
 * Keeps a reset socket from ending the process.
 *
 * The Node transport of nats.js 3.4 takes all listeners off its socket when it releases it. If the socket was reset
 * at that very moment (a server that refuses the credentials closes at once; measured: one attempt in 60), the error
 * arrives without a listener, which Node and Deno treat as an uncaught exception.
 *
 * @module
 */

import { sharedByCopies } from "../copies.ts";

/** A socket, as far as the guard needs one. */
interface GuardedSocket {
  removeAllListeners(...events: string[]): this;
  on(event: "error", listener: () => void): this;
}

/** The client's protocol handler, which makes a transport for each attempt to connect. */
interface ProtocolHandlerPrototype {
  readonly transport?: object;
  prepare(): unknown;
}

/** The methods of the Node transport that open a socket; other transports have none of them. */
const OPENERS: readonly string[] = ["dial", "startTLS", "tlsFirst"];

const guarded = sharedByCopies("guarded-sockets/1", () => new WeakSet<object>());

/** Makes every socket that clients with this protocol handler open from now on keep a listener for its errors. */
export function guardSockets(prototype: object): void {
  const handler = prototype as ProtocolHandlerPrototype; // private to the client's types
  if (guarded.has(handler) || typeof handler.prepare !== "function") return;
  guarded.add(handler);
  const { prepare } = handler;
  handler.prepare = function (this: ProtocolHandlerPrototype): unknown {
    const prepared = prepare.call(this);
    if (this.transport) guardTransport(Object.getPrototypeOf(this.transport));
    return prepared;
  };
}

function guardTransport(prototype: Record<string, unknown>): void {
  if (guarded.has(prototype)) return;
  guarded.add(prototype);
  for (const name of OPENERS) {
    const open = prototype[name];
    if (typeof open !== "function") continue;
    prototype[name] = async function (this: unknown, ...args: unknown[]): Promise<GuardedSocket> {
      const socket = await open.apply(this, args) as GuardedSocket;
      const removeAllListeners = socket.removeAllListeners.bind(socket);
      socket.removeAllListeners = (...events): GuardedSocket => {
        removeAllListeners(...events); // with none, not with undefined, which would be the name of an event
        return socket.on("error", () => {});
      };
      return socket.on("error", () => {});
    };
  }
}
