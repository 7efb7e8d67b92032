/**
 * Loopback ports from below the ranges that operating systems give to outgoing connections and to listeners of port 0
 * (32768 and up): no other program takes one while its server is down for a restart.
 *
 * @module
 */

/** Listens on a port that was free, which no server is given. */
export function listenOnFreePort(): Deno.TcpListener {
  return listenBetween(10_000, 20_000);
}

/** A port for a server, that was free just now. */
export function freePort(): number {
  using listener = listenBetween(20_000, 32_000);
  return listener.addr.port;
}

function listenBetween(first: number, end: number): Deno.TcpListener {
  while (true) {
    try {
      return Deno.listen({ hostname: "127.0.0.1", port: first + Math.floor(Math.random() * (end - first)) });
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/**
 * Listens again on a port whose listener was closed. A program that is started at that moment has the listener too, until it
 * is loaded: that takes some milliseconds.
 */
export function listenAgain(port: number): Deno.TcpListener {
  const deadline = performance.now() + 2_000;
  while (true) {
    try {
      return Deno.listen({ hostname: "127.0.0.1", port });
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse) || performance.now() > deadline) throw error;
    }
  }
}
