import assert from "node:assert/strict";
import { kvFolder } from "../support/kv_file.ts";
import { pathOf, Service } from "./service_process.ts";

/** Starts the service with the permissions that it names to its reader. */
async function startChat(folder: string): Promise<Service> {
  return await Service.start({
    args: [
      "run",
      "--allow-net=127.0.0.1:0",
      "--allow-read=chat.kv",
      "--allow-write=chat.kv",
      "--allow-env=PORT",
      pathOf("examples/chat/main.ts"),
    ],
    cwd: folder,
    env: { PORT: "0" },
  });
}

/** A browser: it remembers the id of the last event, and sends it when it connects again. */
class Browser implements AsyncDisposable {
  #reader: ReadableStreamDefaultReader<string> | undefined;
  #text = "";
  #lastEventId: string | undefined;

  /** The messages that it shows. */
  readonly messages: string[] = [];

  constructor(lastEventId?: string) {
    this.#lastEventId = lastEventId;
  }

  async connect({ url }: Service): Promise<void> {
    const headers: Record<string, string> = this.#lastEventId === undefined
      ? {}
      : { "last-event-id": this.#lastEventId };
    const response = await fetch(`${url}/channels/lobby/events`, { headers });
    assert.equal(response.headers.get("content-type"), "text/event-stream");
    this.#reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    this.#text = "";
  }

  /** Reads until it shows so many messages; returns false if it was disconnected before. */
  async shows(count: number): Promise<boolean> {
    while (this.messages.length < count) {
      const read = await this.#reader!.read().catch(() => undefined);
      if (read?.value === undefined) return false;
      this.#text += read.value;
      const events = this.#text.split("\n\n");
      this.#text = events.pop()!;
      for (const event of events) this.#take(event);
    }
    return true;
  }

  async disconnect(): Promise<void> {
    await this.#reader?.cancel().catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disconnect();
  }

  #take(event: string): void {
    const fields = Object.fromEntries(event.split("\n").map((line) => line.split(/: (.*)/s, 2)));
    if (fields["data"] === undefined) return;
    assert.equal(fields["event"], "Written");
    const { author, text } = JSON.parse(fields["data"]);
    this.messages.push(`${author}: ${text}`);
    this.#lastEventId = fields["id"];
  }
}

async function write(service: Service, author: string, text: string): Promise<void> {
  const { status } = await service.ask("POST", "/channels/lobby/messages", { author, text }, {
    "idempotency-key": encodeURIComponent(`${author} ${text}`),
  });
  assert.equal(status, 201);
}

Deno.test("examples/chat: two clients see all messages in order, and one that connects again misses nothing", async () => {
  await using folder = await kvFolder();
  await using ada = new Browser();
  await using bob = new Browser();
  {
    await using service = await startChat(folder.path);
    await Promise.all([ada.connect(service), bob.connect(service)]);
    await write(service, "Ada", "hello");
    await write(service, "Bob", "hello\nAda");
    await write(service, "Bob", "hello\nAda"); // a repeated request writes nothing
    assert.deepEqual(await Promise.all([ada.shows(2), bob.shows(2)]), [true, true]);

    await bob.disconnect();
    for (const text of ["are you there", "Bob"]) await write(service, "Ada", text);
    assert(await ada.shows(4));
    assert.equal(bob.messages.length, 2);
    await bob.connect(service);
    assert(await bob.shows(4));

    for (
      const [status, method, path, body] of [
        [400, "POST", "/channels/lobby/messages", "null"],
        [400, "POST", "/channels/lobby/messages", { author: "Ada" }],
        [409, "POST", "/channels/lobby/messages", { author: "Ada", text: " " }],
        [409, "POST", "/channels/lobby/messages", { author: "Ada", text: "x".repeat(1_001) }],
        [404, "GET", "/channels/lobby", undefined],
        [405, "DELETE", "/channels/lobby/events", undefined],
      ] as const
    ) {
      assert.equal((await service.ask(method, path, body)).status, status, `${method} ${path}`);
    }
    assert.match(await (await fetch(service.url)).text(), /new EventSource\("\/channels\/lobby\/events"\)/);
    await service.end("SIGKILL");
    assert.deepEqual(await Promise.all([ada.shows(5), bob.shows(5)]), [false, false]);
  }
  await using service = await startChat(folder.path);
  await write(service, "Carol", "I was faster");
  await Promise.all([ada.connect(service), bob.connect(service)]);
  await write(service, "Bob", "I am back");
  assert.deepEqual(await Promise.all([ada.shows(6), bob.shows(6)]), [true, true]);
  assert.deepEqual(ada.messages, [
    "Ada: hello",
    "Bob: hello\nAda",
    "Ada: are you there",
    "Ada: Bob",
    "Carol: I was faster",
    "Bob: I am back",
  ]);
  assert.deepEqual(bob.messages, ada.messages);
  await using dan = new Browser("the id of an event of another log");
  await dan.connect(service);
  assert(await dan.shows(6));
  assert.deepEqual(dan.messages, ada.messages);
  assert.equal(await service.end("SIGTERM"), 0, "streams that are open do not keep it from its end");
});
