/**
 * Loopback ports from below the ranges that operating systems give to outgoing connections and to listeners of port 0
 * (32768 and up): no other program takes one while its server is down for a restart.
 *
 * @module
 */

/** Listens on a port that was free. */
export function listenOnFreePort(): Deno.TcpListener {
  while (true) {
    try {
      return Deno.listen({ hostname: "127.0.0.1", port: 20_000 + Math.floor(Math.random() * 12_000) });
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/** A port that was free just now. */
export function freePort(): number {
  using listener = listenOnFreePort();
  return listener.addr.port;
}
