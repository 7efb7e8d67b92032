/**
 * Stores whose calls are counted.
 *
 * @module
 */

/** How many calls were made. */
export interface Counts {
  /** Calls of public methods. */
  calls: number;
}

/** What stands behind an object whose calls are counted. */
const originals = new WeakMap<object, object>();

/** The object whose calls are counted: some functions know their own stores by identity. */
export function uncounted<T extends object>(counted: T): T {
  return (originals.get(counted) ?? counted) as T;
}

/** An object that does all that the given one does, and counts the calls of its methods. */
export function counting<T extends object>(target: T, counts: Counts): T {
  const bound = new Map<PropertyKey, unknown>();
  const counted = new Proxy(target, {
    get(_, name): unknown {
      const known = bound.get(name);
      if (known !== undefined) return known;
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== "function") return value;
      const method = (...args: unknown[]): unknown => {
        counts.calls++;
        return Reflect.apply(value, target, args);
      };
      bound.set(name, method);
      return method;
    },
  });
  originals.set(counted, target);
  return counted;
}
