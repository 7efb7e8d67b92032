/**
 * Who owns the shards: the contract of the cluster coordinator without its protocol, which has a simulation of its own. At
 * each instant at most one process holds a shard; tokens rise; a shard moves once the work on it has ended, or its owner's
 * lease is over.
 *
 * @module
 */
import { Broadcast } from "../../../src/cluster/broadcast.ts";
import type { Coordinator } from "../../../src/cluster/coordinator.ts";
import type { ClusterNode } from "../../../src/cluster/membership.ts";
import { type OwnedShard, type ShardChange, shardChangeRules } from "../../../src/cluster/owned_shards.ts";
import { shardOf } from "../../../src/cluster/shard_of.ts";
import type { Process } from "../../cluster/simulation/process.ts";
import type { World } from "../../cluster/simulation/world.ts";
import { enter } from "./globals.ts";

/** In ms. */
export const TTL = 2_000;
export const SHARDS = 3;
const RENEW_EVERY = 500;
const ASSIGN_EVERY = 100;
/** How long a message of the coordination takes at most, in ms. */
const MESSAGE = 5;

/** A shard as its owner has it. */
class Grant implements OwnedShard {
  readonly id: number;
  readonly fencingToken: number;
  readonly member: Member;
  readonly #controller = new AbortController();
  readonly #work = new Set<Promise<unknown>>();
  readonly #onEnd: () => void;
  isRevoked = false;
  isOver = false;

  constructor(id: number, token: number, member: Member, onEnd: () => void) {
    this.id = id;
    this.fencingToken = token;
    this.member = member;
    this.#onEnd = onEnd;
  }

  get isHeld(): boolean {
    return !this.isOver && this.member.isAlive;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  waitUntil(work: Promise<unknown>): void {
    this.#work.add(work);
    const done = (): void => {
      this.#work.delete(work);
      this.#endIfIdle();
    };
    work.then(done, done);
  }

  revoke(): void {
    if (this.isRevoked) return;
    this.isRevoked = true;
    this.#controller.abort(new Error("revoked"));
    this.#endIfIdle();
  }

  #endIfIdle(): void {
    if (!this.isRevoked || this.#work.size > 0 || this.isOver) return;
    this.isOver = true;
    this.#onEnd();
  }
}

/** A process as a node of the cluster. */
class Member {
  readonly process: Process;
  readonly changes: Broadcast<ShardChange> = new Broadcast(shardChangeRules);
  readonly shards: Map<number, Grant> = new Map();
  readonly closed = new AbortController();
  until: number;
  readonly #world: World;

  constructor(world: World, process: Process) {
    this.#world = world;
    this.process = process;
    this.until = world.time + TTL;
  }

  /** Whether its lease goes on. */
  get isAlive(): boolean {
    return this.#world.time < this.until;
  }
}

/** The map of shards, and who is alive. */
export class Ownership {
  readonly #world: World;
  readonly #members = new Set<Member>();
  readonly #owners = new Map<number, Grant>();
  readonly #areKnown: boolean;
  #token = 100;

  /** @param areKnown Whether the nodes know of each other: else no move is announced, as by hosts of an earlier version. */
  constructor(world: World, areKnown: boolean) {
    this.#world = world;
    this.#areKnown = areKnown;
    this.#assign();
  }

  /** A process joins. */
  join(process: Process): Coordinator {
    const member = new Member(this.#world, process);
    this.#members.add(member);
    this.#renew(member);
    const find = (id: number): Grant | undefined => {
      const shard = member.shards.get(id);
      return shard?.isRevoked ? undefined : shard;
    };
    const nodeOf = ({ process }: Member): ClusterNode => ({
      name: process.name,
      incarnation: 1,
      address: "",
      metadata: {},
      weight: 1,
      draining: false,
    });
    const part = {
      name: process.name,
      shardCount: SHARDS,
      nodes: () =>
        this.#areKnown
          ? [...this.#members].map(nodeOf).sort((a, b) => a.name < b.name ? -1 : 1)
          : [nodeOf(member)],
      shardOwners: () =>
        Array.from({ length: SHARDS }, (_, shard) => {
          const member = this.#owners.get(shard)?.member;
          return member && nodeOf(member);
        }),
      signal: member.closed.signal,
      shardFor: (actorId: string): OwnedShard | undefined => {
        const shard = find(shardOf(actorId, SHARDS));
        return shard?.isHeld ? shard : undefined;
      },
      shardChanges: (options?: { readonly signal?: AbortSignal }) =>
        member.changes.changes(
          () => [...member.shards.values()].map((shard) => ({ type: "gained", shard })),
          options,
        ),
    };
    return part as unknown as Coordinator;
  }

  /** Whether a process owns the shard of an actor at this instant. */
  isOwner(process: Process, actorId: string): boolean {
    const grant = this.#owners.get(shardOf(actorId, SHARDS));
    return grant?.member.process === process && grant.isHeld;
  }

  /** Whether a process was given a token for an actor's shard. */
  wasGranted(process: Process, actorId: string, token: number | undefined): boolean {
    return this.#granted.get(`${shardOf(actorId, SHARDS)} ${token}`) === process;
  }

  readonly #granted = new Map<string, Process>();

  /** Whether every shard has an owner that goes on. */
  get isWhole(): boolean {
    return this.#owners.size === SHARDS &&
      [...this.#owners.values()].every(({ isHeld, isRevoked }) => isHeld && !isRevoked);
  }

  /** Whether a process still has shards. */
  hasShards(process: Process): boolean {
    return [...this.#owners.values()].some(({ member, isHeld }) => member.process === process && isHeld);
  }

  /** Moves a shard to another process, in order. */
  move(shard: number): void {
    const grant = this.#owners.get(shard);
    if (!grant || grant.isRevoked) return;
    this.#world.note(`shard ${shard}: is to move from ${grant.member.process.name}`);
    this.#revoke(grant);
  }

  /** A process gives all its shards back, in order; then it leaves. */
  leave(process: Process): void {
    for (const member of this.#members) {
      if (member.process !== process) continue;
      this.#members.delete(member);
      for (const grant of this.#owners.values()) if (grant.member === member) this.#revoke(grant);
    }
  }

  #revoke(grant: Grant): void {
    const { member } = grant;
    this.#world.after(this.#delay(), () =>
      enter(member.process, () => {
        if (grant.isRevoked) return;
        grant.revoke();
        member.changes.send({ type: "lost", shard: grant });
      }));
  }

  #delay(): number {
    return this.#world.random.between(0.2, MESSAGE);
  }

  /** The lease goes on while the process runs and is not cut off. */
  #renew(member: Member): void {
    const { process } = member;
    if (!process.isAlive) return void this.#members.delete(member);
    if (process.isRunning && !process.isCut) {
      if (!member.isAlive) this.#rejoin(member);
      member.until = this.#world.time + TTL;
    } else if (process.isRunning && !member.isAlive) this.#rejoin(member);
    this.#world.after(RENEW_EVERY, () => this.#renew(member));
  }

  /** What was granted under a lease that is over is lost: the process learns it when it runs. */
  #rejoin(member: Member): void {
    for (const grant of this.#owners.values()) if (grant.member === member) grant.isOver = true;
    const lost = [...member.shards.values()];
    member.shards.clear();
    for (const grant of lost) {
      grant.isOver = true;
      enter(member.process, () => {
        grant.revoke();
        member.changes.send({ type: "lost", shard: grant });
      });
    }
  }

  /** Gives the shards that have no owner to processes, as evenly as it goes. */
  #assign(): void {
    for (let shard = 0; shard < SHARDS; shard++) {
      const before = this.#owners.get(shard);
      if (before?.isHeld) continue;
      if (before) before.isOver = true;
      this.#owners.delete(shard);
      const living = [...this.#members].filter(({ isAlive, process }) => isAlive && process.isAlive);
      const others = living.filter((member) => member !== before?.member);
      const member = this.#world.random.pick(others.length > 0 ? others : living);
      if (member) this.#grant(shard, member);
    }
    this.#world.after(ASSIGN_EVERY, () => this.#assign());
  }

  #grant(id: number, member: Member): void {
    const shard: Grant = new Grant(id, ++this.#token, member, () => {
      if (member.shards.get(id) === shard) member.shards.delete(id);
    });
    this.#owners.set(id, shard);
    this.#granted.set(`${id} ${shard.fencingToken}`, member.process);
    this.#world.note(`shard ${id}: granted to ${member.process.name} under ${shard.fencingToken}`);
    this.#world.after(this.#delay(), () =>
      enter(member.process, () => {
        if (!shard.isHeld || shard.isRevoked) return;
        member.shards.set(id, shard);
        member.changes.send({ type: "gained", shard });
      }));
  }
}
