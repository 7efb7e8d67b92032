/**
 * One schedule: a cluster, a time of faults, and a quiet time in which everything must be owned again.
 *
 * @module
 */
import { EventStore } from "./event_store.ts";
import { Invariants, Violation } from "./invariants.ts";
import { MAX_CLOCK_SKEW, Node, OTHER_SHARDS, SHARDS, type Surroundings, TTL } from "./node.ts";
import { Process } from "./process.ts";
import { Random } from "../../support/random.ts";
import { type Faults, Servers } from "./server.ts";
import type { Subject } from "./subject.ts";
import { World } from "./world.ts";

/** How long it may take after the last fault until everything is owned, in ms. */
const RECOVERY_BOUND = 5 * TTL;
/** How long a process may need to notice that its connection is closed for good, in ms. */
const CLOSED_BOUND = 12_000;
/** The name of a node that was configured with another number of shards. */
const STRANGER = "z";
/** Far more than any schedule takes: a protocol that spins is broken too. */
const MAX_STEPS = 40_000;
const NONE: Faults = { loss: 0, late: 0, delay: 0, twice: 0, stale: 0 };

/** What is varied besides the seed. */
export interface SimulationOptions {
  /** Whether the event store refuses old tokens. @default {true} */
  readonly storeFences?: boolean;
}

/** How one schedule went. */
export interface Outcome {
  readonly steps: number;
  /** From the last fault until everything was owned, in virtual ms. */
  readonly recovery: number;
}

/** Runs the schedule of a seed; throws a `Violation` if it finds one. */
export async function simulate(
  subject: Subject,
  seed: number,
  options: SimulationOptions = {},
): Promise<Outcome> {
  const random = new Random(seed);
  const world = new World(random);
  const invariants = new Invariants(subject);
  const faults: Faults = drawFaults(random);
  const servers = new Servers(world, subject, faults, MAX_CLOCK_SKEW, (entry, before) => {
    invariants.wrote(entry, before);
  }, (process) => invariants.requested(process, world.time));
  const store = new EventStore(world, invariants, options.storeFences ?? true);
  const around: Surroundings = { world, subject, servers, store, invariants };
  const nodes = new Map<string, Node>();
  const start = (name: string): void => {
    world.note(`${name}: started`);
    const shardCount = name === STRANGER ? OTHER_SHARDS : SHARDS;
    nodes.set(name, new Node(around, new Process(world, name), shardCount));
  };
  const names = ["a", "b", "c", "d"].slice(0, random.pick([2, 3, 3, 4]));
  for (const name of names) world.after(random.between(0, 2000), () => start(name));

  const calmAt = random.between(10_000, 30_000);
  scheduleFaults({ world, servers, nodes, invariants, calmAt, start });
  world.after(calmAt, () => {
    Object.assign(faults, NONE);
    nodes.get(STRANGER)?.process.crash();
    nodes.delete(STRANGER);
    // The others can join again once the operator has removed what the stranger had decided.
    if (subject.readShardCount(servers.read("config")) !== SHARDS) servers.loseBucket();
    for (const node of nodes.values()) {
      node.process.isCut = false;
      node.process.answersLateBy = 0;
      node.process.accept();
      node.process.deliver(() => node.member.drain(false));
    }
  });
  // Whoever is gone comes back.
  const revive = (): void => {
    for (const [name, node] of nodes) if (node.isDone || !node.process.isAlive) start(name);
    world.after(500, () => world.time > calmAt && revive());
  };
  world.after(calmAt, revive);

  const check = (): void => {
    invariants.check(nodes.values());
    if (world.steps > MAX_STEPS) throw new Violation(`no end after ${MAX_STEPS} steps`);
  };
  try {
    await world.run(() => world.time > calmAt && isWhole(nodes, servers), check);
    if (!isWhole(nodes, servers) || world.time > calmAt + RECOVERY_BOUND) {
      throw new Violation(`not everything was owned ${RECOVERY_BOUND} ms after the last fault`);
    }
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    throw new Violation(`${error.message}\n${report(seed, world)}`);
  }
  return { steps: world.steps, recovery: world.time - calmAt };

  /** Everybody is a member, one leads, and the nodes hold exactly what the map gives them. */
  function isWhole(all: ReadonlyMap<string, Node>, within: Servers): boolean {
    if (world.time > calmAt + RECOVERY_BOUND) return true;
    if (!within.hasLeader || all.size < names.length) return false;
    let shards = 0;
    let leaders = 0;
    for (const node of all.values()) {
      if (!node.process.isRunning || node.isDone || !node.isJoined) return false;
      for (const shard of node.member.shards) if (shard.isHeld) shards++;
      if (node.member.isLeader) leaders++;
    }
    return shards === SHARDS && leaders === 1;
  }
}

function report(seed: number, world: World): string {
  return `after ${world.steps} steps. Replay it by:\n` +
    `  AETHER_SIMULATION_SEED=${seed} deno test --allow-all tests/cluster/simulation_test.ts\n` +
    world.trace.slice(-40).join("\n");
}

function drawFaults(random: Random): Faults {
  if (random.chance(0.15)) return { ...NONE };
  return {
    loss: random.pick([0, 0.01, 0.05, 0.2]),
    late: random.pick([0, 0.02, 0.1]),
    delay: random.pick([500, 2000, 8000]),
    twice: random.pick([0, 0.05, 0.3]),
    stale: random.pick([0, 0.05, 0.3]),
  };
}

/** What faults strike. */
interface Stage {
  readonly world: World;
  readonly servers: Servers;
  readonly nodes: Map<string, Node>;
  readonly invariants: Invariants;
  readonly calmAt: number;
  start(name: string): void;
}

/** Something happens to somebody every few hundred ms to seconds, until it is calm. */
function scheduleFaults({ world, servers, nodes, invariants, calmAt, start }: Stage): void {
  const { random } = world;
  const pace = random.pick([1500, 3000, 6000]);
  const strike = (): void => {
    const left = calmAt - world.time;
    if (left <= 0) return;
    const node = random.pick([...nodes.values()]);
    if (node !== undefined) {
      random.pick([
        () =>
          node.process.pause(
            Math.min(left, random.pick([random.between(10, 1000), random.between(3000, 12_000)])),
          ),
        () => {
          const { process } = node;
          process.isCut = true;
          world.note(`${process.name}: cut`);
          const duration = random.pick([random.between(100, 2000), random.between(3000, 12_000)]);
          world.after(duration, () => process.isCut = false);
        },
        () => {
          const { process } = node;
          process.answersLateBy = random.between(500, 1950);
          world.note(`${process.name}: answers late by ${process.answersLateBy.toFixed(0)}, then cut`);
          world.after(random.between(1000, 4000), () => {
            process.answersLateBy = 0;
            process.isCut = world.time < calmAt;
            world.after(random.between(4000, 9000), () => process.isCut = false);
          });
        },
        () => {
          node.process.crash();
          world.after(random.between(100, 8000), () => {
            if (nodes.get(node.process.name) === node) start(node.process.name);
          });
        },
        () => {
          if (!node.process.isRunning) return;
          node.leave();
          world.after(random.between(100, 5000), () => {
            if (nodes.get(node.process.name) === node && node.isDone) start(node.process.name);
          });
        },
        () => servers.changeLeader(Math.min(left, random.pick([30, 30, random.between(2000, 7000)]))),
        () => {
          servers.loseBucket();
          if (random.chance(0.5)) {
            world.after(
              random.between(0, 1000),
              () => world.time < calmAt && !nodes.has(STRANGER) && start(STRANGER),
            );
          }
        },
        () => servers.damage(),
        () => {
          node.process.refuse();
          world.after(random.between(500, 12_000), () => node.process.accept());
        },
        () => {
          const { process } = node;
          if (!process.isRunning) return;
          process.closeConnection();
          const { pauses } = process;
          world.after(CLOSED_BOUND, () => {
            if (process.pauses === pauses) invariants.mustHaveEnded(node);
            if (nodes.get(process.name) === node && node.isDone) start(process.name);
          });
        },
        () => node.process.stepWallClock(random.between(-20_000, 3000)),
        () => node.process.isRunning && node.member.drain(random.chance(0.5)),
        () => node.process.isRunning && void node.member.resign(),
      ])();
    }
    world.after(random.between(0.3, 1) * pace, strike);
  };
  world.after(random.between(2000, 4000), strike);
}
