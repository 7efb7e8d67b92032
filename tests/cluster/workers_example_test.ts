import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import { startNatsServer } from "../support/nats_server.ts";
import { until } from "../support/until.ts";

class Worker {
  readonly name: string;
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  #output = "";

  constructor(name: string, url: string) {
    this.name = name;
    const script = fileURLToPath(new URL("../../examples/workers.ts", import.meta.url));
    // The permissions that the example tells its reader to give.
    const args = ["run", "--no-prompt", `--allow-net=${new URL(url).host}`, script, url, name];
    this.#process = new Deno.Command(Deno.execPath(), { args, stdout: "piped" }).spawn();
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    for await (const text of this.#process.stdout.pipeThrough(new TextDecoderStream())) this.#output += text;
  }

  get output(): string {
    return this.#output;
  }

  get partitions(): string[] {
    const last = this.#output.trimEnd().split("\n").at(-1) ?? "";
    return /partitions ([\d ]+)$/.exec(last)?.[1]?.split(" ") ?? [];
  }

  signal(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  async end(signal: Deno.Signal): Promise<void> {
    this.#process.kill(signal);
    await this.#process.status;
    await this.#reading;
  }
}

Deno.test("examples/workers.ts: three share twelve partitions, and take over those of the suspended and the dead", async () => {
  await using server = await startNatsServer();
  const workers = ["alice", "bob", "carol"].map((name) => new Worker(name, server.url));
  const [alice, bob, carol] = workers as [Worker, Worker, Worker];
  const share = (...expected: readonly (readonly [Worker, number])[]): boolean =>
    expected.every(([worker, count]) => worker.partitions.length === count) &&
    new Set(expected.flatMap(([worker]) => worker.partitions)).size === 12;
  await until("each has four", () => share([alice, 4], [bob, 4], [carol, 4]));
  bob.signal("SIGSTOP");
  await until("the others have those of the suspended one", () => share([alice, 6], [carol, 6]));
  bob.signal("SIGCONT");
  await until("it joins again", () => share([alice, 4], [bob, 4], [carol, 4]));
  await bob.end("SIGKILL");
  await until("the others have six", () => share([alice, 6], [carol, 6]));
  await carol.end("SIGINT");
  assert.match(carol.output, /carol: left/);
  await until("alice has all", () => share([alice, 12]), 5000);
  await alice.end("SIGINT");
});
