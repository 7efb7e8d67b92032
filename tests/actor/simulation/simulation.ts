/**
 * One schedule: hosts and clients, a time of faults, and a quiet time in which every call must be answered.
 *
 * @module
 */
import type { ActorHost } from "../../../src/actor/host.ts";
import { Violation } from "../../cluster/simulation/invariants.ts";
import { Process } from "../../cluster/simulation/process.ts";
import { World } from "../../cluster/simulation/world.ts";
import { Random } from "../../support/random.ts";
import { ACTORS, Client, type ClientSetup, type LedgerReference } from "./client.ts";
import { currentProcess, enter, replaceGlobals, settle } from "./globals.ts";
import { Invariants } from "./invariants.ts";
import { defineLedger, type LedgerDefinition } from "./ledger.ts";
import { type Faults, Nats, type SimulatedConnection } from "./nats.ts";
import { Ownership, SHARDS, TTL } from "./ownership.ts";
import { Requests } from "./requests.ts";
import { StoreServers } from "./store.ts";
import { runTimers } from "./timers.ts";
import type { Subject } from "./subject.ts";

/** How long it may take after the last fault until every call is answered, in ms. */
const RECOVERY_BOUND = 30_000;
/** Far more than any schedule takes: a host that spins is broken too. */
const MAX_STEPS = 60_000;
const NONE: Faults = { loss: 0, late: 0, delay: 0, stray: 0, twice: 0 };

/** How one schedule went. */
export interface Outcome {
  readonly steps: number;
  /** How many calls were answered. */
  readonly answered: number;
}

/** A process with a host. */
interface HostNode {
  readonly process: Process;
  readonly connection: SimulatedConnection;
  host: ActorHost | undefined;
  isLeaving: boolean;
}

/** Runs the schedule of a seed; throws a `Violation` if it finds one. */
export async function simulate(subject: Subject, seed: number): Promise<Outcome> {
  const random = new Random(seed);
  const world = new World(random, settle);
  const other = new Random(seed + 1);
  using _ = replaceGlobals(world, () => other.next());
  return await new Schedule(subject, seed, world).run();
}

class Schedule {
  readonly #seed: number;
  readonly #world: World;
  readonly #subject: Subject;
  readonly #ownership: Ownership;
  readonly #invariants: Invariants;
  readonly #requests: Requests;
  readonly #faults: Faults;
  readonly #nats: Nats;
  readonly #store: StoreServers;
  readonly #ledger: LedgerDefinition;
  readonly #hosts = new Map<string, HostNode>();
  readonly #clients = new Set<Client>();
  readonly #calmAt: number;
  readonly #isQuiet: boolean;
  /** Whether hosts announce moves, of which there are many; else they are of an earlier version. */
  readonly #movesOften: boolean;
  #written = 0;

  constructor(subject: Subject, seed: number, world: World) {
    const { random } = world;
    this.#seed = seed;
    this.#movesOften = seed % 2 === 1;
    this.#world = world;
    this.#subject = subject;
    this.#calmAt = random.between(4_000, 12_000);
    this.#isQuiet = random.chance(0.1);
    this.#faults = this.#isQuiet ? NONE : drawFaults(random);
    this.#ownership = new Ownership(world, this.#movesOften);
    this.#invariants = new Invariants(this.#ownership, () => world.time);
    this.#requests = new Requests(this.#invariants, (text) => world.note(text));
    this.#nats = new Nats(world, this.#faults, this.#requests);
    this.#store = new StoreServers(world, this.#faults, (...stored) => this.#invariants.stored(...stored));
    this.#ledger = defineLedger(subject, (command) => this.#invariants.decided(currentProcess(), command));
  }

  async run(): Promise<Outcome> {
    const world = this.#world;
    const { random } = world;
    // Each in an event of its own: what a process begins belongs to it.
    for (const name of ["a", "b", "c"].slice(0, random.pick([2, 3]))) {
      world.after(0, () => this.#startHost(name));
    }
    for (const name of ["x", "y"]) world.after(0, () => this.#startClient(name));
    world.after(0, () => this.#startTimers());
    if (!this.#isQuiet) world.after(random.between(500, 1_500), () => this.#strike());
    if (this.#movesOften) world.after(500, () => this.#moveOften());
    world.after(this.#calmAt, () => this.#calm());
    const check = (): void => {
      this.#invariants.rethrow();
      if (world.steps > MAX_STEPS) throw new Violation(`no end after ${MAX_STEPS} steps`);
    };
    const isOver = (): boolean =>
      world.time > this.#calmAt && [...this.#clients].every(({ isDone }) => isDone) &&
      this.#invariants.timers().every(({ at }) => at > world.time);
    try {
      await world.run(() => isOver() || world.time > this.#calmAt + RECOVERY_BOUND, check);
      if (!isOver()) {
        const waiting = [...this.#clients].filter(({ isDone }) => !isDone).map(({ process }) => process.name);
        const timers = this.#invariants.timers().map(({ by }) => by);
        throw new Violation(
          `timers ${timers}, and ${waiting} without an answer ${RECOVERY_BOUND} ms after the last fault`,
        );
      }
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      throw new Violation(`${error.message}\n${this.#report()}`);
    }
    return { steps: world.steps, answered: this.#invariants.answered };
  }

  #report(): string {
    return `after ${this.#world.steps} steps. Replay it by:\n` +
      `  AETHER_SIMULATION_SEED=${this.#seed} deno test --allow-all tests/actor/simulation_test.ts\n` +
      this.#world.trace.slice(-60).join("\n");
  }

  #startHost(name: string): void {
    const { random } = this.#world;
    this.#world.note(`${name}: started`);
    const process = new Process(this.#world, name);
    const connection = this.#nats.connect(process);
    const node: HostNode = { process, connection, host: undefined, isLeaving: false };
    this.#hosts.set(name, node);
    const coordinator = this.#ownership.join(process);
    enter(process, () => {
      void this.#subject.ActorHost.start({
        store: this.#store.connect(process) as never,
        actors: [this.#ledger] as never,
        cluster: { coordinator, connection },
        maxActive: 2,
        idleTimeout: random.pick([200, 2_000]),
        maxWaiting: random.pick([4, 50]),
        onWarning: ({ message }) => this.#world.note(`${name}: ${message}`),
      }).then((host) => {
        node.host = host;
        if (random.chance(0.5)) return;
        const find = (actor: string): LedgerReference => host.client.get(this.#ledger, actor);
        this.#addClient(process, find);
      });
    });
  }

  #startClient(name: string): void {
    const process = new Process(this.#world, name);
    const definitions = new Map([["ledger", this.#ledger]]) as never;
    enter(process, () => {
      const remote = new this.#subject.RemoteCaller(this.#nats.connect(process), "default");
      this.#addClient(
        process,
        (actor) => this.#subject.referTo(definitions, this.#ledger, actor, (request) => remote.send(request)),
      );
    });
  }

  #startTimers(): void {
    const process = new Process(this.#world, "t");
    enter(process, () => {
      const remote = new this.#subject.RemoteCaller(this.#nats.connect(process), "default");
      const setup = { world: this.#world, subject: this.#subject, invariants: this.#invariants };
      void runTimers(setup, this.#ledger, (request) => remote.send(request));
    });
  }

  #addClient(process: Process, find: (actor: string) => LedgerReference): void {
    const setup: ClientSetup = {
      world: this.#world,
      subject: this.#subject,
      invariants: this.#invariants,
      requests: this.#requests,
      onRefused: (call) => this.#store.arrive(call),
      until: this.#calmAt + 500,
      isQuiet: this.#isQuiet,
    };
    this.#clients.add(new Client(setup, process, find));
  }

  /** A process ends, and starts again after a while. */
  #crash(node: HostNode): void {
    const { process } = node;
    process.crash();
    this.#nats.forget(process);
    for (const client of this.#clients) if (client.process === process) this.#clients.delete(client);
    this.#world.after(this.#world.random.between(50, 3_000), () => this.#startHost(process.name));
  }

  /** Gives its shards back, ends its host, and ends. */
  #leave(node: HostNode): void {
    if (node.isLeaving || !node.process.isRunning || !node.host) return;
    node.isLeaving = true;
    this.#world.note(`${node.process.name}: leaves`);
    this.#ownership.leave(node.process);
    const end = (): void => {
      if (!node.process.isAlive) return;
      if (this.#ownership.hasShards(node.process)) return void this.#world.after(20, end);
      enter(node.process, () => void node.host?.close().then(() => this.#crash(node)));
    };
    end();
  }

  #cut({ process, connection }: Pick<HostNode, "process" | "connection">, duration: number): void {
    process.isCut = true;
    this.#world.note(`${process.name}: cut for ${duration.toFixed(0)}`);
    const isNoticed = this.#world.random.chance(0.5);
    if (isNoticed) connection.report();
    this.#world.after(duration, () => {
      process.isCut = false;
      if (isNoticed) connection.report();
    });
  }

  /** A program without a host stores an event of an actor. */
  #write(): void {
    const actor = `ledger-${Math.floor(this.#world.random.between(0, ACTORS))}`;
    const basis = this.#invariants.versionOf(actor);
    const data = { call: `writer:${++this.#written}`, part: 1, basis };
    void this.#store.write({ eventType: "Noted", data }, actor, basis);
  }

  #calm(): void {
    Object.assign(this.#faults, NONE);
    this.#store.unavailableUntil = 0;
    this.#world.note("no more faults");
  }

  #moveOften(): void {
    const { random, time } = this.#world;
    if (time > this.#calmAt) return;
    this.#ownership.move(Math.floor(random.between(0, SHARDS)));
    this.#world.after(random.between(200, 800), () => this.#moveOften());
  }

  /** Something happens every few hundred ms, until it is calm. */
  #strike(): void {
    const { random, time } = this.#world;
    const left = this.#calmAt - time;
    if (left <= 0) return;
    const node = random.pick([...this.#hosts.values()].filter(({ process }) => process.isAlive));
    const long = (): number =>
      Math.min(left, random.pick([random.between(10, 800), random.between(2_000, 5_000)]));
    random.pick([
      () => node?.process.pause(long()),
      () => node && this.#cut(node, long()),
      () => node && this.#crash(node),
      () => node && this.#leave(node),
      () => this.#ownership.move(Math.floor(random.between(0, SHARDS))),
      () => this.#ownership.move(Math.floor(random.between(0, SHARDS))),
      () => {
        const pause = (process: Process): void => process.pause(random.between(TTL, 2 * TTL));
        // It has stored a commit, and learns it after its lease is over; or the commit arrives after that.
        if (random.chance(0.5)) return void (this.#store.atNextAppend = pause);
        this.#store.holdNextAppend = (process) => {
          pause(process);
          return random.between(TTL, 3 * TTL);
        };
      },
      () => this.#write(),
      () => this.#write(),
      () => {
        this.#world.note("store: unavailable");
        this.#store.unavailableUntil = time + Math.min(left, random.between(100, 3_000));
      },
    ])();
    this.#world.after(random.between(100, 1_200), () => this.#strike());
  }
}

function drawFaults(random: Random): Faults {
  if (random.chance(0.15)) return { ...NONE };
  return {
    loss: random.pick([0, 0.01, 0.05]),
    late: random.pick([0, 0.02, 0.1]),
    delay: random.pick([100, 1_000, 4_000]),
    stray: random.pick([0, 0, 0.03]),
    twice: random.pick([0, 0.05, 0.3]),
  };
}
