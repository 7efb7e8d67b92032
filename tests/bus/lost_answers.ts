/**
 * A real Deno KV handle whose answers get lost, as over KV Connect.
 *
 * @module
 */

/** How many of the next atomic operations are applied, and then reported as broken connections. */
export interface LostAnswers {
  /** The number; it counts down. */
  count: number;
}

/** Wraps a handle. */
export function loseAnswers(kv: Deno.Kv, lost: LostAnswers): Deno.Kv {
  const wrap = (operation: Deno.AtomicOperation): Deno.AtomicOperation => {
    const proxy: Deno.AtomicOperation = new Proxy(operation, {
      get(target, name): unknown {
        const method = Reflect.get(target, name) as (...args: unknown[]) => unknown;
        if (name !== "commit") return (...args: unknown[]) => (method.apply(target, args), proxy);
        return async () => {
          const result = await target.commit();
          if (lost.count-- <= 0) return result;
          throw new Error("KV Connect failed to call 'atomic_write': error sending request");
        };
      },
    });
    return proxy;
  };
  return new Proxy(kv, {
    get(target, name): unknown {
      if (name === "atomic") return () => wrap(target.atomic());
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
