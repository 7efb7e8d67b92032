/**
 * A loopback TCP proxy that does to a connection what networks do: cuts it off, stalls it, delays it. It reads the
 * NATS protocol on the way, so that a test can take out single messages, such as the acknowledgement of a write that
 * was stored.
 *
 * @module
 */
import { type NatsFrame, NatsFrameSplitter } from "./nats_frames.ts";
import { listenAgain, listenOnFreePort } from "./ports.ts";

const MAX_QUEUED_CHUNKS = 256;

/** Which messages a proxy takes out; what is not a message (INFO, PING, +OK ...) always passes. */
export interface ProxyFilter {
  /** True to drop a message on its way from the server to the client. */
  readonly toClient?: (frame: NatsFrame) => boolean;
  /** True to drop a publication on its way from the client to the server. */
  readonly toServer?: (frame: NatsFrame) => boolean;
}

/** What a proxy is started with. */
export interface ProxyOptions {
  /** False for a WebSocket or TLS target: bytes are forwarded unread, and filters see nothing. @default {true} */
  readonly natsProtocol?: boolean;
}

/** Starts a proxy on a free loopback port in front of `target`, a URL such as `nats://127.0.0.1:4222`. */
export function startProxy(target: string, options: ProxyOptions = {}): Proxy {
  return new Proxy(target, options);
}

/** A running proxy. Disposing of it closes every connection and its port. */
export class Proxy implements AsyncDisposable {
  /** Where clients connect, with the target's scheme. */
  readonly url: string;
  readonly #target: { hostname: string; port: number };
  readonly #port: number;
  readonly #natsProtocol: boolean;
  #listener: Deno.TcpListener | undefined;
  #accepting: Promise<void> = Promise.resolve();
  readonly #links = new Set<Link>();
  #delay = 0;
  #gate: PromiseWithResolvers<void> | undefined;
  #filter: ProxyFilter = {};

  /** See {@linkcode startProxy}. */
  constructor(target: string, options: ProxyOptions) {
    const { protocol, hostname, port } = new URL(target);
    this.#target = { hostname, port: Number(port) };
    this.#natsProtocol = options.natsProtocol ?? true;
    this.#listener = listenOnFreePort();
    this.#port = this.#listener.addr.port;
    this.url = `${protocol}//127.0.0.1:${this.#port}`;
    this.#accepting = this.#accept(this.#listener);
  }

  /** How many clients are connected through the proxy. */
  get connections(): number {
    return this.#links.size;
  }

  /** Drops all connections and refuses new ones until `resume()`. */
  async cut(): Promise<void> {
    this.#listener?.close();
    this.#listener = undefined;
    this.#open();
    for (const link of this.#links) link.close();
    await this.#accepting;
  }

  /** Accepts, but forwards nothing in either direction until `resume()`; nothing is lost by it. */
  stall(): void {
    this.#gate ??= Promise.withResolvers();
  }

  /** Ends a cut or a stall, and takes away filter and delay. */
  resume(): void {
    this.#delay = 0;
    this.#filter = {};
    this.#open();
    if (!this.#listener) {
      this.#listener = listenAgain(this.#port);
      this.#accepting = this.#accept(this.#listener);
    }
  }

  /** Forwards everything that arrives from now on so many milliseconds later, in each direction. */
  delay(milliseconds: number): void {
    this.#delay = milliseconds;
  }

  /** Takes out messages, on existing connections too; an empty filter lets everything pass again. */
  filter(filter: ProxyFilter): void {
    this.#filter = filter;
  }

  /** Closes every connection and the port. */
  async close(): Promise<void> {
    const links = Array.from(this.#links, (link) => link.ended);
    await this.cut();
    await Promise.all(links);
  }

  /** Closes every connection and the port. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #open(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  async #accept(listener: Deno.TcpListener): Promise<void> {
    try {
      for await (const client of listener) void this.#serve(client);
    } catch (error) {
      if (this.#listener === listener) throw error; // otherwise it was closed on purpose
    }
  }

  async #serve(client: Deno.TcpConn): Promise<void> {
    let server: Deno.TcpConn;
    try {
      server = await Deno.connect(this.#target);
    } catch {
      client.close(); // the server is down: so is the way to it
      return;
    }
    if (!this.#listener) {
      client.close();
      server.close();
      return;
    }
    client.setNoDelay(true);
    server.setNoDelay(true);
    const link = new Link(client, server);
    this.#links.add(link);
    link.ended = Promise.all([
      this.#forward(link, server, client, "toClient"),
      this.#forward(link, client, server, "toServer"),
    ]).then(() => {
      this.#links.delete(link);
    });
  }

  /** One direction of a link: a reader that stamps each chunk with its due time, and a writer that awaits it. */
  async #forward(
    link: Link,
    from: Deno.TcpConn,
    to: Deno.TcpConn,
    direction: keyof ProxyFilter,
  ): Promise<void> {
    const splitter = this.#natsProtocol ? new NatsFrameSplitter() : undefined;
    const queue: { due: number; bytes: Uint8Array }[] = [];
    let arrived = Promise.withResolvers<void>();
    let taken = Promise.withResolvers<void>();
    let finished = false;
    const writing = (async (): Promise<void> => {
      while (true) {
        const next = queue.shift();
        if (!next) {
          if (finished) return;
          await arrived.promise;
          arrived = Promise.withResolvers();
          continue;
        }
        taken.resolve();
        taken = Promise.withResolvers();
        const wait = next.due - performance.now();
        if (wait > 0) await link.sleep(wait);
        while (this.#gate && !link.closed) await Promise.race([this.#gate.promise, link.closing]);
        if (link.closed) return;
        const bytes = splitter ? this.#filtered(splitter, next.bytes, direction) : next.bytes;
        for (let written = 0; written < bytes.length;) written += await to.write(bytes.subarray(written));
      }
    })().catch(() => {}).finally(() => link.close());
    try {
      while (!link.closed) {
        const buffer = new Uint8Array(65_536);
        const length = await from.read(buffer);
        if (length === null) break;
        queue.push({ due: performance.now() + this.#delay, bytes: buffer.subarray(0, length) });
        arrived.resolve();
        while (queue.length >= MAX_QUEUED_CHUNKS && !link.closed) {
          await Promise.race([taken.promise, link.closing]);
        }
      }
    } catch {
      // Reset by either side, or closed by a cut: the link ends, as it would in a network.
    }
    finished = true;
    arrived.resolve();
    await writing;
  }

  #filtered(splitter: NatsFrameSplitter, bytes: Uint8Array, direction: keyof ProxyFilter): Uint8Array {
    const frames = splitter.push(bytes);
    const drops = this.#filter[direction];
    const kept = drops ? frames.filter((frame) => frame.subject === undefined || !drops(frame)) : frames;
    const whole = new Uint8Array(kept.reduce((sum, frame) => sum + frame.bytes.length, 0));
    let offset = 0;
    for (const frame of kept) {
      whole.set(frame.bytes, offset);
      offset += frame.bytes.length;
    }
    return whole;
  }
}

/** One client's two sockets and what must end with them. */
class Link {
  ended: Promise<void> = Promise.resolve();
  closed = false;
  readonly #end = Promise.withResolvers<void>();
  readonly #timers = new Map<ReturnType<typeof setTimeout>, () => void>();

  constructor(readonly client: Deno.TcpConn, readonly server: Deno.TcpConn) {}

  get closing(): Promise<void> {
    return this.#end.promise;
  }

  async sleep(milliseconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        resolve();
      }, milliseconds);
      this.#timers.set(timer, resolve);
    });
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#end.resolve();
    for (const [timer, resolve] of this.#timers) {
      clearTimeout(timer);
      resolve();
    }
    for (const connection of [this.client, this.server]) {
      try {
        connection.close();
      } catch {
        // it was reset and is closed already
      }
    }
  }
}
