/**
 * What is done to the servers, and to the ways to them, in an order that a seed decides.
 *
 * @module
 */
import { dirname } from "node:path";
import type { NatsCluster, NatsServer } from "../../../support/nats_server.ts";
import type { NatsFrame } from "../../../support/nats_frames.ts";
import type { Proxy } from "../../../support/proxy.ts";
import { sleep, until } from "../support.ts";
import { flip, streamFiles } from "../stream_files.ts";
import type { Damage, Span } from "./history.ts";
import { makeLeader, storedMessages } from "./replicas.ts";

const STREAM = "aether_default";

/** After a fault is over the servers may need so long to elect leaders and to catch up (4 to 9 s by their source). */
const RECOVERY_MS = 15_000;

/** A follower that comes back may make the others elect once more. */
const DISTURBANCE_MS = 3_000;

/** The part of the acknowledgements, and of the commits, that is lost at all times. */
const LOST_ACKNOWLEDGEMENTS = 0.05;
const LOST_COMMITS = 0.02;

/** The part of the rounds in which a copy is damaged. */
const DAMAGED_ROUNDS = 0.5;
/** Of so many events that were stored last, a byte of each fifth is changed. */
const LATEST_EVENTS = 50;
const DAMAGED_EVERY = 5;

/** What faults are done to. */
export interface FaultSetup {
  readonly cluster: NatsCluster;
  /** The ways of all clients, one a server. */
  readonly proxies: readonly Proxy[];
  /** Gives numbers from 0 to 1. */
  readonly random: () => number;
  /** The clock that all processes share, in milliseconds. */
  readonly now: () => number;
}

const decoder = new TextDecoder();

/** Whether a frame says that a publication was stored. */
export function isAcknowledgement({ payload }: NatsFrame): boolean {
  return /^\{"stream":"aether_\w+",.*"seq":[1-9]/.test(decoder.decode(payload));
}

/** Whether a frame is a commit on its way to the stream. */
export function isCommit({ subject }: NatsFrame): boolean {
  return subject?.startsWith("aether.") === true;
}

/** Does one thing after the other. */
export class Faults {
  /** When somebody could not be served. */
  readonly outages: Span[] = [];
  /** When a leader may have answered reads that had been deposed. */
  readonly stale: Span[] = [];
  /** The commits that one server cannot read any more. */
  readonly damaged: Damage[] = [];
  /** What was done, for who has to find out what went wrong. */
  readonly done: string[] = [];
  readonly #setup: FaultSetup;
  /** The server with the damaged copy, until it has copied the stream again. */
  #bad: NatsServer | undefined;

  constructor(setup: FaultSetup) {
    this.#setup = setup;
    this.#loseSome();
  }

  /**
   * All of them once, in an order of its own. In some rounds a copy is damaged and repaired, in place of two faults of
   * followers.
   */
  async round(): Promise<void> {
    const isDamaged = this.#setup.random() < DAMAGED_ROUNDS;
    const faults: (() => Promise<void>)[] = [
      () => this.#onLeader("killed", 1_000, 3_000, (leader) => this.#killed(leader)),
      () => this.#onLeader("suspended", 1_000, 7_000, (leader) => this.#suspended(leader)),
      () => this.#onLeader("cut off from the others", 2_000, 9_000, (leader) => this.#isolated(leader)),
      () => this.#onFollower("cut off from the others", 500, 3_000, (follower) => this.#isolated(follower)),
      () => this.#onWay("cut", 300, 1_500, (proxy) => proxy.cut()),
      () => this.#onWay("stalled", 300, 2_500, (proxy) => Promise.resolve(proxy.stall())),
      () =>
        this.#onWay("without acknowledgements", 500, 1_500, (proxy) => {
          proxy.filter({ toClient: isAcknowledgement });
          return Promise.resolve();
        }),
    ];
    if (isDamaged) {
      faults.push(() =>
        this.#onFollower("damaged, and leader", 500, 1_500, (follower) => this.#damage(follower))
      );
    } else {
      faults.push(
        () => this.#onFollower("killed", 500, 1_500, (follower) => this.#killed(follower)),
        () => this.#onFollower("suspended", 500, 3_000, (follower) => this.#suspended(follower)),
      );
    }
    const { random } = this.#setup;
    const order = faults.map((fault) => ({ fault, rank: random() })).sort((a, b) => a.rank - b.rank);
    for (const { fault } of order) {
      await fault();
      await sleep(300 + random() * 700);
    }
    await this.#repair();
  }

  /** Nothing is done any more. */
  end(): void {
    for (const proxy of this.#setup.proxies) proxy.resume();
  }

  async #onLeader(...[what, least, most, begin]: Fault): Promise<void> {
    let leader: NatsServer | undefined;
    await until(
      async () => (leader = await this.#setup.cluster.streamLeader(STREAM)) !== undefined,
      "a leader",
    );
    const from = this.#setup.now();
    await this.#for(`leader ${leader!.name} ${what}`, least, most, () => begin(leader!));
    this.stale.push({ from, to: this.#setup.now() + RECOVERY_MS });
  }

  async #onFollower(...[what, least, most, begin]: Fault): Promise<void> {
    const { cluster, random } = this.#setup;
    const leader = await cluster.streamLeader(STREAM);
    const followers = cluster.servers.filter((server) => server !== leader);
    const follower = followers[Math.floor(random() * followers.length)]!;
    const from = this.#setup.now();
    await this.#for(`follower ${follower.name} ${what}`, least, most, () => begin(follower));
    // It may have been elected meanwhile, and it deposes the leader when it comes back and stands for election.
    this.stale.push({ from, to: this.#setup.now() + DISTURBANCE_MS });
  }

  async #onWay(
    what: string,
    least: number,
    most: number,
    begin: (proxy: Proxy) => Promise<void>,
  ): Promise<void> {
    const { proxies, random } = this.#setup;
    const index = Math.floor(random() * proxies.length);
    await this.#for(`way to ${index + 1} ${what}`, least, most, async () => {
      await begin(proxies[index]!);
      return () => {
        proxies[index]!.resume();
        this.#loseSome();
        return Promise.resolve();
      };
    });
  }

  async #for(what: string, least: number, most: number, begin: () => Promise<End>): Promise<void> {
    const { random, now } = this.#setup;
    const duration = least + random() * (most - least);
    const from = now();
    const end = await begin();
    await sleep(duration);
    await end();
    this.outages.push({ from, to: now() + RECOVERY_MS });
    this.done.push(`${what} for ${Math.round(duration)} ms, over after ${Math.round(now() - from)} ms`);
  }

  async #killed(server: NatsServer): Promise<End> {
    await server.kill();
    return () => server.restart();
  }

  /** Changes a byte of some commits in a server's file. The server leads after that, so that saves and reads meet it. */
  async #damage(server: NatsServer): Promise<End> {
    const { random, now, cluster } = this.#setup;
    const isEnough = async (): Promise<boolean> => await storedMessages(server, STREAM) >= LATEST_EVENTS;
    await until(() => isEnough().catch(() => false), "enough to damage"); // there may be no leader just now
    await server.shutdown();
    const { blocks } = await streamFiles(server, STREAM);
    const block = blocks.at(-1)!;
    const text = new TextDecoder("latin1").decode(await Deno.readFile(block));
    const latest = [...text.matchAll(/"writer":"([^"]+)","number":(\d+),/g)].slice(-LATEST_EVENTS);
    for (let index = Math.floor(random() * DAMAGED_EVERY); index < latest.length; index += DAMAGED_EVERY) {
      const [marker, writer, number] = latest[index]!;
      this.damaged.push({ id: `${writer}-${number}`, from: now() });
      await flip(block, marker, marker.length - 2);
    }
    this.#bad = server;
    await server.restart();
    await makeLeader(cluster, server, STREAM);
    return () => Promise.resolve();
  }

  /** Does what the warning advises: another server leads, and the stream is removed from the bad one, which copies it. */
  async #repair(): Promise<void> {
    const server = this.#bad;
    if (!server) return;
    this.#bad = undefined;
    const from = this.#setup.now();
    await server.shutdown();
    await Deno.remove(dirname(dirname((await streamFiles(server, STREAM)).index)), { recursive: true });
    await server.restart();
    const to = this.#setup.now();
    this.outages.push({ from, to: to + RECOVERY_MS });
    this.stale.push({ from, to: to + RECOVERY_MS });
    this.done.push(`${server.name} without its stream, after ${Math.round(to - from)} ms`);
  }

  async #suspended(server: NatsServer): Promise<End> {
    await server.suspend();
    return () => Promise.resolve(server.resume());
  }

  async #isolated(server: NatsServer): Promise<End> {
    await this.#setup.cluster.isolate(server);
    return () => Promise.resolve(this.#setup.cluster.rejoin(server));
  }

  #loseSome(): void {
    const { proxies, random } = this.#setup;
    for (const proxy of proxies) {
      proxy.filter({
        toClient: (frame) => isAcknowledgement(frame) && random() < LOST_ACKNOWLEDGEMENTS,
        toServer: (frame) => isCommit(frame) && random() < LOST_COMMITS,
      });
    }
  }
}

type End = () => Promise<void>;
type Fault = readonly [
  what: string,
  least: number,
  most: number,
  begin: (server: NatsServer) => Promise<End>,
];
