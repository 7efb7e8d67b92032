/** `aether studio` as a process of its own. */

import assert from "node:assert/strict";
import { startAether } from "../cli/command_line.ts";
import { Client } from "./support.ts";

/** A studio in a process, and the browser that has opened its address. */
export class Studio implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly url: URL;
  readonly cookie: string;
  readonly client: Client;

  private constructor(process: Deno.ChildProcess, url: URL, cookie: string) {
    this.#process = process;
    this.url = url;
    this.cookie = cookie;
    this.client = new Client((request) => fetch(request), `${url.origin}/`, { cookie });
  }

  static async start(args: readonly string[], allow: readonly string[]): Promise<Studio> {
    const process = startAether(["studio", ...args, "--json"], { allow });
    const reader = process.stdout.getReader();
    const { value } = await reader.read();
    if (!value) throw new Error(await new Response(process.stderr).text());
    await reader.cancel();
    const url = new URL(JSON.parse(new TextDecoder().decode(value)).url);
    const opened = await fetch(url, { redirect: "manual" });
    await opened.body?.cancel();
    assert.equal(opened.status, 303);
    assert.equal(new URL(opened.headers.get("location")!, url).href, `${url.origin}/`);
    const cookie = opened.headers.get("set-cookie")!;
    assert.match(cookie, /; Path=\/; HttpOnly; SameSite=Strict$/);
    return new Studio(process, url, cookie.split(";")[0]!);
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Interrupts it; returns its exit code and what it has noted. */
  async end(): Promise<readonly [code: number, notes: string]> {
    this.#process.kill("SIGINT");
    const [{ code }, notes] = await Promise.all([
      this.#process.status,
      new Response(this.#process.stderr).text(),
    ]);
    return [code, notes];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#process[Symbol.asyncDispose]();
  }
}
