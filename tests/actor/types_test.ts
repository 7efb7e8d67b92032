/**
 * The types of actors: what a user may write, and, by `@ts-expect-error`, what the compiler must refuse. `deno check` is
 * the test; the functions are run where they can be.
 */

import assert from "node:assert/strict";
import {
  type ActorClient,
  type ActorDefinition,
  ActorFailedError,
  ActorHost,
  type ActorReference,
  type ActorTimers,
  type CallResult,
  type Decider,
  defineActor,
  type Event,
  fireTimersOnce,
  InvalidArgumentError,
  type NewEvent,
  runTimers,
  type StoredEvent,
} from "@flowmade-one/aether/actor";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";
import { specifyActor, TestActors } from "@flowmade-one/aether/testing";

/** Fails to compile unless both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;
function typed<_ extends true>(): void {}

type SeatEvent = Event<"Reserved", { readonly by: string; readonly dueAt: number }> | Event<"Released", null>;
type SeatCommand = { readonly reserve: string; readonly dueAt: number } | { readonly release: true };
interface Seat {
  readonly by?: string;
  readonly dueAt: number;
}
class SeatTaken extends Error {
  constructor(readonly by: string) {
    super(`the seat is taken by ${by}`);
  }
}

const decider: Decider<Seat, SeatCommand, SeatEvent> = {
  initialState: () => ({ dueAt: 0 }),
  evolve: (_seat, event) => event.eventType === "Reserved" ? event.data : { dueAt: 0 },
  decide(command, { by }): readonly NewEvent<SeatEvent>[] {
    if ("release" in command) return by === undefined ? [] : [{ eventType: "Released", data: null }];
    if (by !== undefined) throw new SeatTaken(by);
    return [{ eventType: "Reserved", data: { by: command.reserve, dueAt: command.dueAt } }];
  },
};
const seat = defineActor("seat", {
  decider,
  queries: { holder: ({ by }) => by, dueAt: ({ dueAt }) => dueAt },
  errors: { SeatTaken },
  timers: ({ by, dueAt }) => by === undefined ? {} : { unpaid: { at: dueAt, command: { release: true } } },
});

type Counted = Event<"Counted", number>;
const counting: Decider<number, number, Counted> = {
  initialState: () => 0,
  evolve: (sum, { data }) => sum + data,
  decide: (by) => [{ eventType: "Counted", data: by }],
};
const counter = defineActor("counter", { decider: counting });

const RESERVE: SeatCommand = { reserve: "Ada", dueAt: Date.parse("2100-01-01T00:00:00Z") };

Deno.test("types: defineActor() infers states, commands, events and answers from the decider and the queries", () => {
  typed<
    Same<
      typeof seat,
      ActorDefinition<Seat, SeatCommand, SeatEvent, { holder: string | undefined; dueAt: number }>
    >
  >();
  typed<Same<typeof counter, ActorDefinition<number, number, Counted, Record<never, never>>>>();
});

Deno.test("types: a call takes the commands of the definition, and gives its state", async () => {
  await using store = new InMemoryEventStore<SeatEvent>();
  await using host = await ActorHost.start({ store, actors: [seat] });
  const actor = host.client.get(seat, "seat-1");
  const result = await actor.call(RESERVE, { id: "request-1", timeout: 60_000 });
  typed<Same<typeof result, CallResult<Seat>>>();
  typed<Same<typeof result.state.by, string | undefined>>();
  // @ts-expect-error: the state is no text
  const text: string = result.state;
  assert.notEqual(typeof text, "string");
  // @ts-expect-error: the state cannot be changed
  assert.throws(() => result.state.dueAt = 5, TypeError);
  // @ts-expect-error: no such command
  await assert.rejects(actor.call("reserve"), ActorFailedError);
  // @ts-expect-error: a field of the command is missing
  await assert.rejects(actor.call({ reserve: "Ada" }), SeatTaken);
  // @ts-expect-error: a field of the command has another type
  await assert.rejects(actor.call({ reserve: 5, dueAt: 0 }), SeatTaken);
  // @ts-expect-error: a field that no command has
  await assert.rejects(actor.call({ reserve: "Ada", dueAt: 0, row: 12 }), SeatTaken);
  // @ts-expect-error: the id is a text
  await assert.rejects(actor.call(RESERVE, { id: 5 }), InvalidArgumentError);
  // @ts-expect-error: no such option
  await assert.rejects(actor.call({ release: true }, { retries: 5 }), InvalidArgumentError);
  for await (const event of actor.events()) {
    typed<Same<typeof event, StoredEvent<SeatEvent>>>();
    // @ts-expect-error: it is not narrowed here
    event.data.by;
    break;
  }
});

Deno.test("types: a query takes the names of the definition, and gives the type of that answer", async () => {
  await using store = new InMemoryEventStore<SeatEvent | Counted>();
  await using host = await ActorHost.start({ store, actors: [seat, counter] });
  const actor = host.client.get(seat, "seat-1");
  const [holder, dueAt] = [await actor.query("holder"), await actor.query("dueAt")];
  typed<Same<typeof holder, string | undefined>>();
  typed<Same<typeof dueAt, number>>();
  // @ts-expect-error: the answer is a number
  const text: string = dueAt;
  assert.equal(text as unknown, 0);
  // @ts-expect-error: no such query
  await assert.rejects(actor.query("owner"), InvalidArgumentError);
  // @ts-expect-error: this kind has no queries
  await assert.rejects(host.client.get(counter, "counter-1").query("holder"), InvalidArgumentError);
});

Deno.test("types: queries, errors and timers of a definition fit its decider", () => {
  defineActor("seat", {
    decider,
    // @ts-expect-error: the state has no such field
    queries: { row: (state) => state.row },
  });
  assert.throws(() =>
    defineActor("seat", {
      decider,
      // @ts-expect-error: an answer is given by a function
      queries: { row: 12 },
    })
  );
  assert.throws(() =>
    defineActor("seat", {
      decider,
      // @ts-expect-error: a text is no class
      errors: { SeatTaken: "SeatTaken" },
    })
  );
  assert.throws(() =>
    defineActor("seat", {
      decider,
      // @ts-expect-error: an error is no class
      errors: { SeatTaken: new SeatTaken("Ada") },
    })
  );
  defineActor("seat", {
    decider,
    // @ts-expect-error: the class is not one of errors
    errors: { URL },
  });
  defineActor("seat", {
    decider,
    // @ts-expect-error: the decider does not know the timer's command
    timers: ({ dueAt }) => ({ unpaid: { at: dueAt, command: { expire: true } } }),
  });
  defineActor("seat", {
    decider,
    // @ts-expect-error: a timer has a time
    timers: () => ({ unpaid: { command: { release: true } } }),
  });
  defineActor("seat", {
    decider,
    // @ts-expect-error: the time of a timer is no duration in words
    timers: ({ dueAt }) => ({ unpaid: { at: [dueAt], command: { release: true } } }),
  });
  defineActor("seat", {
    decider,
    // @ts-expect-error: timers are known at once, not later
    timers: async ({ dueAt }) => await ({ unpaid: { at: dueAt, command: { release: true } } }),
  });
  defineActor("seat", {
    decider: {
      ...decider,
      // @ts-expect-error: a decision is made at once, not later
      decide: async () => await [],
    },
  });
  // @ts-expect-error: a view does not decide
  assert.throws(() => defineActor("seat", { decider: { ...decider, decide: undefined } }));
  // @ts-expect-error: no such option
  assert.throws(() => defineActor("seat", { decider, mailbox: 5 }));
  // @ts-expect-error: the version is a number
  assert.throws(() => defineActor("seat", { decider, version: "2" }));
});

Deno.test("types: a timer that a state does not have may be undefined", () => {
  const timers = ({ by, dueAt }: Seat): ActorTimers<SeatCommand> => ({
    unpaid: by === undefined ? undefined : { at: new Date(dueAt), command: { release: true } },
  });
  assert.equal(defineActor("seat", { decider, timers }).name, "seat");
});

Deno.test("types: a host takes a store that can hold the events of all its actors", async () => {
  await using both = new InMemoryEventStore<SeatEvent | Counted>();
  await using all = await ActorHost.start({ store: both, actors: [seat, counter] });
  const { state } = await all.client.get(counter, "counter-1").call(5);
  typed<Same<typeof state, number>>();
  await using untyped = new InMemoryEventStore();
  await using any = await ActorHost.start({ store: untyped, actors: [seat, counter] });
  assert.equal(any.active, 0);

  await using seats = new InMemoryEventStore<SeatEvent>();
  // @ts-expect-error: the store cannot hold the events of a counter
  await using _first = await ActorHost.start({ store: seats, actors: [counter] });
  // @ts-expect-error: the store cannot hold the events of one of them
  await using _second = await ActorHost.start({ store: seats, actors: [seat, counter] });
  // @ts-expect-error: a decider is no definition
  await assert.rejects(ActorHost.start({ store: seats, actors: [decider] }), InvalidArgumentError);
  // @ts-expect-error: the actors are a list
  await assert.rejects(ActorHost.start({ store: seats, actors: seat }), InvalidArgumentError);
  // @ts-expect-error: no such option
  await assert.rejects(ActorHost.start({ store: seats, actors: [seat], shards: 5 }), InvalidArgumentError);
  // @ts-expect-error: the store cannot hold the events of a counter
  await using _run = runTimers(seats, [counter]);
  // @ts-expect-error: the store cannot hold the events of a counter
  await fireTimersOnce(seats, [counter]);
});

Deno.test("types: an actor of one kind is not one of another", async () => {
  await using store = new InMemoryEventStore<SeatEvent | Counted>();
  await using host = await ActorHost.start({ store, actors: [seat] });
  const actor = host.client.get(seat, "seat-1");
  // @ts-expect-error: a reference to a seat takes other commands
  const other: ActorReference<number, number, Counted, Record<never, never>> = actor;
  assert.equal(other as unknown, actor);
  // @ts-expect-error: the definition of a seat is not that of a counter
  const definition: ActorDefinition<number, number, Counted, Record<never, never>> = seat;
  assert.equal(definition as unknown, seat);
  // Which definitions a host has is known when it runs: one of another host is refused at once.
  assert.throws(() => host.client.get(counter, "counter-1"), InvalidArgumentError);
  // @ts-expect-error: a decider is no definition
  assert.throws(() => host.client.get(decider, "seat-1"), InvalidArgumentError);
});

Deno.test("types: a client that hosts nothing has no events to give", () => {
  const read = (client: ActorClient): unknown =>
    // @ts-expect-error: it has no store
    client.get(seat, "seat-1").events();
  assert.equal(typeof read, "function");
});

Deno.test("types: the testing kit takes the commands, events, answers and timers of the definition", async () => {
  const outcome = specifyActor(seat).given([]).when(RESERVE);
  outcome.thenAnswers("holder", "Ada");
  const history = specifyActor(seat).given([{ eventType: "Released", data: null }]);
  history.thenTimers({});
  // @ts-expect-error: no such event
  specifyActor(seat).given([{ eventType: "Counted", data: 5 }]);
  // @ts-expect-error: no such command
  assert.throws(() => history.when("reserve").thenEvents([]));
  // @ts-expect-error: no such query
  assert.throws(() => history.thenAnswers("owner", "Ada"));
  // @ts-expect-error: the answer is a number
  assert.throws(() => history.thenAnswers("dueAt", "soon"));
  // @ts-expect-error: the decider does not know the timer's command
  assert.throws(() => history.thenTimers({ unpaid: { at: 0, command: { expire: true } } }));
  // @ts-expect-error: an error is no class
  assert.throws(() => outcome.thenThrows(new SeatTaken("Ada")));
  await using system = await TestActors.start({ actors: [seat] });
  // @ts-expect-error: no such command
  await assert.rejects(system.client.get(seat, "seat-1").call("reserve"));
});
