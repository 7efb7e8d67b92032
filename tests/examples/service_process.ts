/** Starts services of the examples as processes, and asks them over HTTP. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../../", import.meta.url);

/** How a service is started. */
export interface ServiceOptions {
  /** Arguments for Deno, up to the file and behind it. */
  readonly args: readonly string[];
  /** Where it runs. */
  readonly cwd: string;
  /** Environment variables. */
  readonly env?: Readonly<Record<string, string>>;
}

/** The path of a file of the repository. */
export function pathOf(file: string): string {
  return fileURLToPath(new URL(file, ROOT));
}

/** A service that listens. Disposing of it kills it. */
export class Service implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<unknown>;

  private constructor(
    process: Deno.ChildProcess,
    reading: Promise<unknown>,
    /** Where it listens. */
    readonly url: string,
  ) {
    this.#process = process;
    this.#reading = reading;
  }

  /** Starts a service and waits until it listens. */
  static async start({ args: [command, ...args], cwd, env = {} }: ServiceOptions): Promise<Service> {
    const process = new Deno.Command(Deno.execPath(), {
      args: [command!, "--no-prompt", "--config", pathOf("deno.json"), ...args],
      cwd,
      env: { NO_COLOR: "1", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const url = Promise.withResolvers<string>();
    let output = "";
    const read = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
      const decoder = new TextDecoder();
      for await (const bytes of stream) {
        output += decoder.decode(bytes, { stream: true });
        const found = /Listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(output)?.[1];
        if (found !== undefined) url.resolve(found);
      }
    };
    const reading = Promise.all([read(process.stdout), read(process.stderr)])
      .then(() => url.reject(new Error(`the service has ended: ${output}`)));
    return new Service(process, reading, await url.promise);
  }

  /** Asks it. A body is sent as JSON. */
  async ask(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const response = await fetch(this.url + path, {
      method,
      headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      etag: response.headers.get("etag") ?? undefined,
      location: response.headers.get("location") ?? undefined,
      type: response.headers.get("content-type") ?? undefined,
      body: text === "" ? undefined : JSON.parse(text),
    };
  }

  /** Ends it with a signal, and returns its exit code. */
  async end(signal: Deno.Signal): Promise<number> {
    this.#process.kill(signal);
    const { code } = await this.#process.status;
    await this.#reading;
    return code;
  }

  /** Kills it, if it still runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it had ended by itself
    }
    await this.#process.status;
    await this.#reading;
  }
}

/** What a service answered. */
export interface Answer {
  readonly status: number;
  readonly etag: string | undefined;
  readonly location: string | undefined;
  readonly type: string | undefined;
  readonly body: Readonly<Record<string, unknown>> | undefined;
}

/** An order that can be sent. */
export const PENS = { customer: "Ada", items: [{ article: "pen", quantity: 3, price: 150 }] };

/** Starts the web service of the examples with the permissions that it tells its reader to give. */
export async function startWebService(folder: string, natsUrl?: string): Promise<Service> {
  const permissions = natsUrl === undefined
    ? ["--allow-net=127.0.0.1:0", "--allow-read=orders.kv", "--allow-write=orders.kv"]
    : [`--allow-net=127.0.0.1:0,${new URL(natsUrl).host}`];
  return await Service.start({
    args: ["run", ...permissions, "--allow-env=NATS_URL,PORT", pathOf("examples/web_service/main.ts")],
    cwd: folder,
    env: { PORT: "0", ...(natsUrl !== undefined && { NATS_URL: natsUrl }) },
  });
}

/** Places an order, and returns its path. */
export async function placeOrder(service: Service, key: string, order: unknown = PENS): Promise<string> {
  const { status, location, body } = await service.ask("POST", "/orders", order, { "idempotency-key": key });
  assert.equal(status, 201, JSON.stringify(body));
  return location!;
}
