/** Asks a studio, and reads its streams. */

import assert from "node:assert/strict";
import type { ApiError } from "../../src/studio/api/mod.ts";

export type Answer = (request: Request) => Promise<Response>;

/** A client of a studio's API. */
export class Client {
  readonly #answer: Answer;
  readonly #base: string;
  readonly #headers: Record<string, string>;

  constructor(answer: Answer, base = "http://127.0.0.1:4380/", headers: Record<string, string> = {}) {
    this.#answer = answer;
    this.#base = base;
    this.#headers = headers;
  }

  request(path: string, init: RequestInit = {}): Promise<Response> {
    return this.#answer(
      new Request(`${this.#base}${path}`, { ...init, headers: { ...this.#headers, ...init.headers } }),
    );
  }

  /** What a route answers. */
  async get<T>(path: string): Promise<T> {
    const response = await this.request(`api/${path}`);
    const body = await response.json();
    assert.equal(response.status, 200, `${path}: ${JSON.stringify(body)}`);
    return body as T;
  }

  /** The status, the code and the message of what is not answered. */
  async refused(path: string, init?: RequestInit): Promise<ApiError & { readonly status: number }> {
    const response = await this.request(`api/${path}`, init);
    return { ...await response.json() as ApiError, status: response.status };
  }

  /** Changes something, as the page does. */
  post(path: string, body: unknown): Promise<Response> {
    const headers = { "content-type": "application/json", "sec-fetch-site": "same-origin" };
    return this.request(`api/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  }

  /** Opens a stream. */
  async stream(path: string, init?: RequestInit): Promise<Stream> {
    const response = await this.request(`api/${path}`, init);
    assert.equal(response.status, 200);
    assert.match(response.headers.get("content-type")!, /^text\/event-stream/);
    return new Stream(response);
  }
}

export interface Message {
  readonly name: string;
  // deno-lint-ignore no-explicit-any -- the data of any message
  readonly data: any;
  readonly id: string | undefined;
}

/** The messages of a stream, as `EventSource` reads them. */
export class Stream implements AsyncDisposable {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = "";

  constructor(response: Response) {
    this.#reader = response.body!.getReader();
  }

  /** The next message; `undefined` at the end. */
  async next(): Promise<Message | undefined> {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end >= 0) {
        const fields = new Map(
          this.#text.slice(0, end).split("\n").map((line) => line.split(/: ?(.*)/, 2) as [string, string]),
        );
        this.#text = this.#text.slice(end + 2);
        const name = fields.get("event");
        if (name === undefined) continue;
        return { name, data: JSON.parse(fields.get("data")!), id: fields.get("id") };
      }
      const { done, value } = await this.#reader.read();
      if (done) return undefined;
      this.#text += this.#decoder.decode(value, { stream: true });
    }
  }

  /** The next message of a name, and of what is expected; others are left out. */
  async until(name: string, holds: (data: Message["data"]) => boolean = () => true): Promise<Message> {
    for (;;) {
      const message = await this.next();
      assert(message, `the stream ended before "${name}"`);
      if (message.name === name && holds(message.data)) return message;
      assert.notEqual(message.name, "failed", JSON.stringify(message.data));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }
}
