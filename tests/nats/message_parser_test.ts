/** Our parser takes from a server's bytes what the client's own takes, in whatever pieces they come. */

import assert from "node:assert/strict";
import { Kind, Parser } from "@nats-io/nats-core/internal";
import { connectTo } from "../../src/nats/connect.ts";
import { MessageParser } from "../../src/nats/message_parser.ts";
import { utf8 } from "../../src/text.ts";
import { Random } from "../support/random.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { until } from "../support/until.ts";

const decoder = new TextDecoder("latin1");

/** A message in the client's terms. */
interface Parts {
  readonly subject: Uint8Array;
  readonly sid: number;
  readonly reply?: Uint8Array | undefined;
  readonly hdr: number;
  readonly size: number;
}

function shown({ subject, sid, reply, hdr, size }: Parts, bytes: Uint8Array): unknown {
  return [
    "message",
    decoder.decode(subject),
    sid,
    reply && decoder.decode(reply),
    hdr,
    size,
    decoder.decode(bytes),
  ];
}

/** The client's parser, and what it has found. */
function clientsParser(found: unknown[]): Parser {
  return new Parser({
    push: (event): void => {
      const { kind, data, msg } = event as { kind: number; data?: Uint8Array; msg?: Parts };
      found.push(kind === Kind.MSG ? shown(msg!, data!) : [kind, data && decoder.decode(data)]);
    },
  });
}

/** What the client's parser alone finds in the pieces, and what it finds with ours before it. */
function bothOf(pieces: readonly Uint8Array[]): [clients: unknown[], ours: unknown[]] {
  const [clients, ours]: unknown[][] = [[], []];
  const refused = (parse: (piece: Uint8Array) => void): string | undefined => {
    try {
      for (const piece of pieces) parse(piece);
    } catch (error) {
      return String(error).replace(/\[\d+\].*/s, "");
    }
    return undefined;
  };
  const alone = clientsParser(clients!);
  clients!.push(refused((piece) => alone.parse(piece)));
  const parser = clientsParser(ours!);
  const faster = new MessageParser((parts, bytes) => ours!.push(shown(parts, bytes)), {
    parser,
    idle: parser.state,
    parse: (bytes) => parser.parse(bytes),
  });
  ours!.push(refused((piece) => faster.parse(piece)));
  return [clients!, ours!];
}

/** Cut at places. A socket may deliver Node's buffers. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const all = [0, ...places.toSorted((one, other) => one - other), bytes.length];
  return all.slice(1).map((to, index) => new Uint8Array(bytes.buffer, all[index]!, to - all[index]!));
}

const COMMANDS: readonly string[] = [
  'INFO {"server_id":"x","max_payload":1048576}\r\n',
  "+OK\r\n",
  "PING\r\n",
  "PONG\r\n",
  "-ERR 'Permissions Violation for Publish to \"x\"'\r\n",
  "MSG _INBOX.abc.1 1 0\r\n\r\n",
  'MSG _INBOX.abc.2 2 30\r\n{"stream":"aether","seq":1234}\r\n',
  "MSG a.b 12 reply.to 5\r\nhello\r\n",
  "MSG a.b 12 16\r\nMSG a 1 3\r\nabc\r\n\r\n",
  "HMSG a.b 3 12 12\r\nNATS/1.0\r\n\r\n\r\n",
  "HMSG a.b 3 $JS.ACK.s.c.1.2.3.4.5 19 24\r\nNATS/1.0\r\nA: 12\r\n\r\nhello\r\n",
  `MSG long 1 3000\r\n${"x\r\n".repeat(1_000)}\r\n`,
];

Deno.test("MessageParser finds what the client's parser finds, however the bytes are cut", () => {
  const all = utf8(COMMANDS.join(""));
  for (let place = 0; place <= all.length; place++) {
    const [clients, ours] = bothOf(cut(all, [place]));
    assert.deepEqual(ours, clients);
    assert.equal(ours.length, COMMANDS.length + 1);
  }
  const random = new Random(7);
  for (let round = 0; round < 300; round++) {
    const commands = Array.from({ length: 30 }, () => random.pick(COMMANDS));
    const bytes = utf8(commands.join(""));
    const places = Array.from(
      { length: Math.floor(random.between(0, 60)) },
      () => Math.floor(random.between(0, bytes.length)),
    );
    const [clients, ours] = bothOf(cut(bytes, places));
    assert.deepEqual(ours, clients);
    assert.equal(ours.length, 31);
  }
  const [clients, ours] = bothOf(cut(all, Array.from(all.keys())));
  assert.deepEqual(ours, clients);
});

Deno.test("MessageParser leaves what is not a message to the client's parser, which refuses it", () => {
  const wrong = [
    "MSG a 1 x\r\n\r\n",
    "MSG a\r\n\r\n",
    "MSG a 1 2 3 4\r\nabcd\r\n",
    "HMSG a 1 4\r\nabcd\r\n",
    "HMSG a 1 9 4\r\nabcd\r\n",
    "HMSG a 1 x 4\r\nabcd\r\n",
    "HMSG a x 1 4\r\nabcd\r\n",
    "MSG a 1 99999999999\r\nabcd\r\n",
    "HELLO\r\n",
    "MSX a 1 4\r\nabcd\r\n",
    "what\r\n",
  ];
  for (const text of wrong) {
    for (const place of [0, 1, 3, 6, text.length]) {
      const bytes = utf8(`PING\r\nMSG a 1 1\r\nx\r\n${text}`);
      const [clients, ours] = bothOf(cut(bytes, [bytes.length - text.length + place]));
      assert.deepEqual(ours, clients);
      assert.equal(typeof ours.at(-1), "string", text);
    }
  }
  // It takes what a server of ours never sends, too: other blanks, small letters, no carriage return.
  for (
    const text of ["msg a 1 1\r\nx\r\n", "MSG  a  1  1\r\nx\r\n", "MSG a\t1 1\r\nx\r\n", "MSG a 1 1\nx\r\n"]
  ) {
    const [clients, ours] = bothOf([utf8(`${text}PING\r\nMSG b 1 1\r\ny\r\n`)]);
    assert.deepEqual(ours, clients);
    assert.equal(ours.length, 4, text);
  }
});

Deno.test("a connection that was opened here has it, also after it has connected again", async () => {
  await using server = await startNatsServer({ websocket: true });
  for (const url of [server.url, server.websocketUrl]) {
    const connection = await connectTo(url, { client: { reconnectTimeWait: 20 } });
    const { protocol } = connection as unknown as { protocol: { parser: object } };
    const seen: string[] = [];
    connection.subscribe("x", {
      callback: (_, message) => seen.push(new TextDecoder().decode(message.data)),
    });
    const first = protocol.parser;
    for (const text of ["one", "two"]) {
      assert(Object.hasOwn(protocol.parser, "parse"));
      connection.publish("x", utf8(text));
      await connection.flush();
      assert.equal(seen.at(-1), text);
      if (text === "two") break;
      await server.kill();
      await server.restart();
      await until("the connection is up again", async () => {
        return protocol.parser !== first && await connection.flush().then(() => true, () => false);
      });
    }
    await connection.close();
  }
});
