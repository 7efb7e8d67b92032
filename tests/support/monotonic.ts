/**
 * A clock that all processes of a machine share. Deno's own clocks count from the start of each process.
 *
 * @module
 */
const CLOCK_MONOTONIC = Deno.build.os === "darwin" ? 6 : 1;
const LIBRARY = Deno.build.os === "darwin" ? "libSystem.dylib" : "libc.so.6";
const NANOSECONDS_PER_MS = 1_000_000n;

/** Milliseconds of `clock_gettime(CLOCK_MONOTONIC)`. */
export interface SharedClock extends Disposable {
  now(): number;
}

export function openSharedClock(): SharedClock {
  const library = Deno.dlopen(LIBRARY, { clock_gettime: { parameters: ["i32", "buffer"], result: "i32" } });
  const time = new BigInt64Array(2);
  return {
    now: () => {
      library.symbols.clock_gettime(CLOCK_MONOTONIC, time);
      const [seconds = 0n, nanoseconds = 0n] = time;
      return Number(seconds) * 1000 + Number(nanoseconds) / Number(NANOSECONDS_PER_MS);
    },
    [Symbol.dispose]: () => library.close(),
  };
}
