/**
 * A process: clocks of its own, and the ways in which a process can fail.
 *
 * @module
 */
import type { Clock } from "../../../src/cluster/clock.ts";
import type { World } from "./world.ts";

const MAX_RATE_ERROR = 0.005;

/** A process that can stand still, be cut off and die. */
export class Process {
  readonly name: string;
  readonly clock: Clock;
  /** Whether its network is cut. */
  isCut = false;
  isAlive = true;
  /** Whether the servers refuse its credentials, for a time, or its owner has closed the connection, for good. */
  connection: "open" | "refused" | "closed" = "open";
  /** How often it was paused. */
  pauses = 0;
  /** By how much every answer is late, in ms. */
  answersLateBy = 0;
  readonly #world: World;
  readonly #rate: number;
  readonly #startedAt: number;
  #wallOffset: number;
  #pausedUntil = 0;
  #ids = 0;

  constructor(world: World, name: string) {
    this.#world = world;
    this.name = name;
    this.#rate = 1 + world.random.between(-MAX_RATE_ERROR, MAX_RATE_ERROR);
    this.#startedAt = world.time;
    this.#wallOffset = world.random.between(0, 1e6);
    this.clock = {
      monotonic: () => (world.time - this.#startedAt) * this.#rate,
      wall: () => world.time * this.#rate + this.#wallOffset,
      setTimer: (callback, delay) => {
        let cancelled = false;
        world.after(Math.max(1, delay) / this.#rate, () => {
          if (!cancelled) this.deliver(() => cancelled || callback());
        });
        return () => cancelled = true;
      },
    };
  }

  get isPaused(): boolean {
    return this.#world.time < this.#pausedUntil;
  }

  /** Whether code of this process can run at this moment. */
  get isRunning(): boolean {
    return this.isAlive && !this.isPaused;
  }

  newId = (): string => `${this.name}-${this.#startedAt.toFixed(0)}-${this.#ids++}`;

  /** Runs code of this process: now, when it goes on, or never. After a pause, what has waited runs in any order. */
  deliver(run: () => void): void {
    if (!this.isAlive) return;
    if (!this.isPaused) return run();
    const wait = this.#pausedUntil - this.#world.time;
    this.#world.after(wait + this.#world.random.between(0, 3), () => this.deliver(run));
  }

  pause(duration: number): void {
    this.pauses++;
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#world.time + duration);
    this.#world.note(`${this.name}: paused for ${duration.toFixed(0)}`);
  }

  /** Somebody sets the clock. */
  stepWallClock(by: number): void {
    this.#wallOffset += by;
    this.#world.note(`${this.name}: wall clock set by ${by.toFixed(0)}`);
  }

  refuse(): void {
    if (this.connection !== "open") return;
    this.connection = "refused";
    this.#world.note(`${this.name}: credentials refused`);
  }

  accept(): void {
    if (this.connection === "refused") this.connection = "open";
  }

  closeConnection(): void {
    this.connection = "closed";
    this.#world.note(`${this.name}: connection closed by its owner`);
  }

  crash(): void {
    this.isAlive = false;
    this.#world.note(`${this.name}: crashed`);
  }
}
