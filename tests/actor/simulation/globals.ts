/**
 * The clocks, timers and random numbers of this program, replaced by those of simulated processes: the production code runs
 * unchanged, and each timer belongs to the process whose code has set it.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { Process } from "../../cluster/simulation/process.ts";
import type { World } from "../../cluster/simulation/world.ts";

let current: Process | undefined;

/** The process whose code runs; `undefined` between them. */
export function currentProcess(): Process | undefined {
  return current;
}

/** Runs code of a process: now, when it goes on, or never. */
export function enter(process: Process, run: () => void): void {
  process.deliver(() => {
    current = process;
    run();
  });
}

/** Waits until every promise that is settled has had its callbacks. The code that runs afterwards is of no process. */
export async function settle(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
  current = undefined;
}

/** Handles of simulated timers begin here, so that they are none of the runtime's. */
const FIRST_HANDLE = 2 ** 40;

/** Replaces the globals until it is disposed of. */
export function replaceGlobals(world: World, random: () => number): Disposable {
  const timers = new Map<number, () => void>();
  let handles = FIRST_HANDLE;
  let ids = 0;
  const real = {
    setTimeout: globalThis.setTimeout,
    setInterval: globalThis.setInterval,
    clearTimeout: globalThis.clearTimeout,
    clearInterval: globalThis.clearInterval,
    Date: globalThis.Date,
    random: Math.random,
  };
  const set = (callback: () => void, delay: number): () => void => {
    if (!current) return world.after(delay, callback);
    const process = current;
    return process.clock.setTimer(() => enter(process, callback), delay);
  };
  const setTimeout = (callback: () => void, delay = 0): number => {
    const handle = ++handles;
    timers.set(
      handle,
      set(() => {
        timers.delete(handle);
        callback();
      }, delay),
    );
    return handle;
  };
  const setInterval = (callback: () => void, delay = 0): number => {
    const handle = ++handles;
    const arm = (): void => {
      timers.set(
        handle,
        set(() => {
          arm();
          callback();
        }, delay),
      );
    };
    arm();
    return handle;
  };
  const clear = (handle: number | undefined): void => {
    if (handle === undefined) return;
    timers.get(handle)?.();
    timers.delete(handle);
  };
  const wall = (): number => Math.floor(world.time);
  class SimulatedDate extends real.Date {
    constructor(...args: readonly unknown[]) {
      super(...(args.length > 0 ? args : [wall()]) as [number]);
    }
    static override now(): number {
      return wall();
    }
  }
  Object.assign(globalThis, {
    setTimeout,
    setInterval,
    clearTimeout: clear,
    clearInterval: clear,
    Date: SimulatedDate,
  });
  Math.random = random;
  const own = (target: object, name: string, value: unknown): void => {
    Object.defineProperty(target, name, { value, configurable: true });
  };
  own(performance, "now", () => current?.clock.monotonic() ?? world.time);
  own(crypto, "randomUUID", () => `00000000-0000-4000-8000-${String(++ids).padStart(12, "0")}`);
  return {
    [Symbol.dispose]: (): void => {
      current = undefined;
      Math.random = real.random;
      const { random: _, ...globals } = real;
      Object.assign(globalThis, globals);
      delete (performance as { now?: unknown }).now;
      delete (crypto as { randomUUID?: unknown }).randomUUID;
    },
  };
}
