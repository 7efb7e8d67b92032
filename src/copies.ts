/**
 * Several copies of the library in one program: a plug-in brings its own, or two versions are installed. Classes are
 * recognised by a registered name, and what one part of the library knows of an object is kept where every copy finds it.
 *
 * @module
 */

/** Where a class keeps its registered name: on its prototype, so that each instance carries the names of its classes. */
const CLASS_NAME = Symbol.for("@flowmade-one/aether/class");

/** The classes of this copy of the library by their names. */
const classes = new Map<string, { readonly prototype: object }>();

const ordinaryHasInstance = Function.prototype[Symbol.hasInstance];

/**
 * Registers the name by which the instances of a class are recognised in every copy of the library. An error gets it as
 * its `name` too, so that a minifier cannot change what a program and a log see.
 */
export function registerClass(type: { readonly prototype: object }, name: string): void {
  Object.defineProperty(type.prototype, CLASS_NAME, { value: name });
  classes.set(name, type);
  if (type.prototype instanceof Error) {
    Object.defineProperty(type.prototype, "name", { value: name, configurable: true, writable: true });
  }
}

/** The class that was registered under a name. */
export function classNamed(name: string): { readonly prototype: object } | undefined {
  return classes.get(name);
}

/** The registered name of a class; `undefined` if it has none of its own, like the subclasses that users write. */
export function registeredName(type: { readonly prototype: object }): string | undefined {
  return Object.hasOwn(type.prototype, CLASS_NAME)
    ? (type.prototype as { [CLASS_NAME]?: string })[CLASS_NAME]
    : undefined;
}

/**
 * Whether a value is an instance of a class, or of the class that another copy of the library registered under the same
 * name. Subclasses that users write are recognised by what they extend; they themselves only by their own objects.
 */
export function isInstance(type: { readonly prototype: object }, value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  // Most of what is asked about is nothing of the kind: one look, for reads ask with each message.
  if ((value as { [CLASS_NAME]?: string })[CLASS_NAME] === undefined) return false;
  if (ordinaryHasInstance.call(type as never, value)) return true;
  const name = registeredName(type);
  if (name === undefined) return false;
  for (
    let prototype = Object.getPrototypeOf(value);
    prototype;
    prototype = Object.getPrototypeOf(prototype)
  ) {
    if (registeredName({ prototype }) === name) return true;
  }
  return false;
}

/**
 * What all copies of the library share under a name: the first one makes it.
 *
 * @param name The name, with a number that is raised when the shape of what is shared changes.
 */
export function sharedByCopies<T extends object>(name: string, make: () => T): T {
  const key = Symbol.for(`@flowmade-one/aether/${name}`);
  const holder = globalThis as { [key: symbol]: T | undefined };
  const existing = holder[key];
  if (existing) return existing;
  const made = make();
  Object.defineProperty(globalThis, key, { value: made });
  return made;
}
