/**
 * An event store that refuses old fencing tokens, behind a slow network.
 *
 * @module
 */
import type { Invariants } from "./invariants.ts";
import type { Process } from "./process.ts";
import type { World } from "./world.ts";

export class EventStore {
  readonly #world: World;
  readonly #invariants: Invariants;
  readonly #fences: boolean;
  readonly #newest = new Map<number, number>();

  /** `fences: false` breaks it. */
  constructor(world: World, invariants: Invariants, fences: boolean) {
    this.#world = world;
    this.#invariants = invariants;
    this.#fences = fences;
  }

  /** Sends a write; it may arrive long after its sender has lost the shard. */
  send(process: Process, shard: number, token: number): void {
    const { random } = this.#world;
    const delay = random.chance(0.1) ? random.between(0, 15_000) : random.between(0.5, 10);
    this.#world.after(delay, () => {
      const newest = this.#newest.get(shard) ?? 0;
      if (token < newest && this.#fences) return;
      this.#newest.set(shard, Math.max(token, newest));
      this.#invariants.stored(process.name, shard, token);
    });
  }
}
