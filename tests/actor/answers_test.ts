/** Answers are the same whether the actor is in this process or in another one. */

import assert from "node:assert/strict";
import {
  ActorClient,
  ActorFailedError,
  type ActorReference,
  type Decider,
  defineActor,
  type Event,
  InvalidArgumentError,
  type NewEvent,
} from "@flowmade-one/aether/actor";
import { InMemoryBucket } from "@flowmade-one/aether/cluster";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";
import { startNatsServer } from "../support/nats_server.ts";
import { owns, startNode } from "./node.ts";

type Held = Event<"Held", { by: string | null }>;
type Command = { readonly hold: string | null } | { readonly refuse: string };

class Refused extends Error {
  constructor(readonly why: string) {
    super(`refused: ${why}`);
  }
}
class RefusedForever extends Refused {
  readonly isFinal = true;
}

const trap = (): never => {
  throw new Error("a trap");
};
/** What cannot be read once it is thrown. */
const HOSTILE: Readonly<Record<string, () => unknown>> = {
  "a proxy": () => new Proxy({}, { get: trap, getPrototypeOf: trap }),
  "a declared error without a readable message": () =>
    Object.defineProperty(new Refused("x"), "message", { get: trap }),
  "a declared error without a readable field": () =>
    Object.defineProperty(new Refused("x"), "why", { get: trap, enumerable: true }),
  "an error without a readable message": () =>
    Object.defineProperty(new Error("x"), "message", { get: trap }),
  "an error without a readable name": () => Object.defineProperty(new Error("x"), "name", { get: trap }),
  "no text": () => ({ toString: trap }),
  "an object without a prototype": () => Object.create(null),
};

const decider: Decider<string | undefined, Command, Held> = {
  initialState: () => undefined,
  evolve: (_holder, { data }) => data.by ?? undefined,
  decide(command): readonly NewEvent<Held>[] {
    if ("hold" in command) return [{ eventType: "Held", data: { by: command.hold } }];
    if (command.refuse === "once") throw new Refused("once");
    if (command.refuse === "forever") throw new RefusedForever("forever");
    throw HOSTILE[command.refuse]!();
  },
};
const seat = defineActor("seat", {
  decider,
  queries: { holder: (holder) => holder, none: () => null, hostile: () => trap() },
  errors: { Refused, RefusedForever },
});

type Seat = Omit<
  ActorReference<
    string | undefined,
    Command,
    Held,
    { holder: string | undefined; none: null; hostile: never }
  >,
  "events"
>;

const CASES: Readonly<Record<string, (actor: Seat) => Promise<void>>> = {
  async "a state and an answer may be undefined"(actor): Promise<void> {
    assert.deepEqual(await actor.call({ hold: null }), { version: 1, state: undefined });
    assert.deepEqual(await actor.call({ hold: null }, { id: "a" }), { version: 2, state: undefined });
    assert.deepEqual(await actor.call({ hold: null }, { id: "a" }), { version: 2, state: undefined });
    assert.equal(await actor.query("holder"), undefined);
    assert.equal(await actor.query("none"), null);
    assert.deepEqual(await actor.call({ hold: "Ada" }), { version: 3, state: "Ada" });
    assert.equal(await actor.query("holder"), "Ada");
  },

  async "a declared error arrives as the nearest class that is declared"(actor): Promise<void> {
    await assert.rejects(actor.call({ refuse: "once" }), (error) => {
      return error instanceof Refused && !(error instanceof RefusedForever) && error.why === "once";
    });
    await assert.rejects(actor.call({ refuse: "forever" }), (error) => {
      return error instanceof RefusedForever && error.isFinal && error.why === "forever";
    });
  },

  async "what cannot be read once it is thrown fails its command alone"(actor): Promise<void> {
    for (const refuse of Object.keys(HOSTILE)) {
      const { version } = await actor.call({ hold: "Ada" });
      const [refused, held] = await Promise.allSettled([actor.call({ refuse }), actor.call({ hold: "Eve" })]);
      assert.equal(refused.status, "rejected", refuse);
      assert.ok(!refuse.startsWith("a proxy") || refused.reason instanceof ActorFailedError, refuse);
      assert.deepEqual(held, { status: "fulfilled", value: { version: version + 1, state: "Eve" } }, refuse);
    }
    await assert.rejects(actor.query("hostile"), ActorFailedError);
    assert.equal(await actor.query("holder"), "Eve");
  },

  async "a command is measured in bytes"(actor): Promise<void> {
    const text = "\u00e9".repeat(131_000);
    assert.equal((await actor.call({ hold: text })).state, text);
    await assert.rejects(actor.call({ hold: `${text}${"\u00e9".repeat(100)}` }), (error) => {
      return error instanceof InvalidArgumentError && error.argument === "command";
    });
  },

  async "a timeout is a number"(actor): Promise<void> {
    for (const timeout of ["5000", 5_000n, [5_000], {}, null, true]) {
      await assert.rejects(actor.call({ hold: null }, { timeout: timeout as never }), (error) => {
        return error instanceof InvalidArgumentError && error.argument === "options.timeout";
      });
    }
  },
};

Deno.test("answers of an actor in this process, and in another one", async (t) => {
  await using server = await startNatsServer();
  await using store = new InMemoryEventStore<Held>({ onWarning: () => {} });
  await using node = await startNode({
    url: server.url,
    bucket: new InMemoryBucket(),
    name: "a",
    store,
    actors: [seat],
  });
  await owns(node, 16);
  await using client = await ActorClient.connect(server.url, { actors: [seat] });
  let count = 0;
  for (const [name, run] of Object.entries(CASES)) {
    await t.step(`in this process: ${name}`, () => run(node.host.client.get(seat, `seat-${count++}`)));
    await t.step(`in another process: ${name}`, () => run(client.get(seat, `seat-${count++}`)));
  }
});
