/** Two copies of the library in one program: a plug-in that brings its own works with the application's. */

import assert from "node:assert/strict";
import * as library from "@flowmade-one/aether";
import * as projectionLibrary from "@flowmade-one/aether/projection";
import * as clusterLibrary from "@flowmade-one/aether/cluster";
import * as busLibrary from "@flowmade-one/aether/bus";
import * as jetstreamLibrary from "@flowmade-one/aether/jetstream";

type Library = typeof library;
type ErrorClass = typeof library.AetherError & { readonly name: string };

function isErrorClass(value: unknown): value is ErrorClass {
  return typeof value === "function" && (value.prototype as unknown) instanceof Error;
}

/** Every class of errors that an entry of the package exports. */
const errorClasses = new Set(
  [library, projectionLibrary, clusterLibrary, busLibrary, jetstreamLibrary]
    .flatMap((entry) => Object.values(entry) as unknown[])
    .filter(isErrorClass),
);

let other: Library;
let folder: string;

Deno.test.beforeAll(async () => {
  folder = await Deno.makeTempDir();
  await copyFolder(new URL("../src", import.meta.url), `${folder}/src`);
  await Deno.copyFile(new URL("../mod.ts", import.meta.url), `${folder}/mod.ts`);
  other = await import(`file://${folder}/mod.ts`);
});

Deno.test.afterAll(() => Deno.remove(folder, { recursive: true }));

async function copyFolder(from: URL, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    const source = new URL(`${from.href}/${name}`);
    await (isDirectory ? copyFolder(source, `${to}/${name}`) : Deno.copyFile(source, `${to}/${name}`));
  }
}

/** Runs with class names as a minifier leaves them. */
function withMinifiedNames(run: () => void): void {
  const classes = [library, other].flatMap((copy) => Object.values(copy) as unknown[]).filter(isErrorClass);
  const names = classes.map(({ name }) => name);
  for (const type of classes) Object.defineProperty(type, "name", { value: "e" });
  try {
    run();
  } finally {
    classes.forEach((type, index) => Object.defineProperty(type, "name", { value: names[index] }));
  }
}

const conflict = { actorId: "order-1", attemptedVersion: 1, currentVersion: 3 };

Deno.test("every exported class of errors is recognised by its name in another copy", () => {
  assert(errorClasses.size > 30);
  for (const type of errorClasses) {
    const theirs = (other as unknown as Record<string, ErrorClass>)[type.name];
    const error = Object.create(type.prototype);
    assert.equal(error instanceof type, true, type.name);
    assert.equal(error.name, type.name);
    for (const candidate of errorClasses) {
      const related = candidate === type || type.prototype instanceof candidate;
      assert.equal(error instanceof candidate, related, `${type.name} instanceof ${candidate.name}`);
    }
    if (!theirs) continue; // not exported by mod.ts
    assert.notEqual(theirs, type);
    assert.equal(error instanceof theirs, true, `${type.name} of another copy`);
    assert.equal(Object.create(theirs.prototype) instanceof type, true, `another copy's ${type.name}`);
  }
});

Deno.test("instanceof AetherError recognises another copy's errors under minified class names", () => {
  withMinifiedNames(() => {
    const error: unknown = new other.VersionConflictError(conflict);
    assert(error instanceof library.VersionConflictError);
    assert(error instanceof library.AetherError);
    assert(error instanceof Error);
    assert(!(error instanceof library.FencedError));
    assert(!(new other.InvalidArgumentError("a", "b") instanceof library.VersionConflictError));
  });
});

Deno.test("instanceof AetherError takes neither errors of others nor what only looks like one", () => {
  class VersionConflictError extends Error {
    override readonly name = "VersionConflictError";
    readonly actorId = "order-1";
  }
  const foreign = [
    new VersionConflictError(),
    new Error("VersionConflictError"),
    { name: "VersionConflictError", ...conflict },
    Object.create(null),
    null,
    undefined,
    "VersionConflictError",
    () => {},
  ];
  for (const value of foreign) {
    assert(!(value instanceof library.VersionConflictError));
    assert(!(value instanceof library.AetherError));
  }
});

Deno.test("a user's subclass is recognised by what it extends in every copy, and holds its own objects alone", () => {
  class OutOfStock extends library.AetherError {}
  class Taken extends other.VersionConflictError {}
  class AlsoTaken extends library.VersionConflictError {}
  const taken: unknown = new Taken(conflict);
  assert(taken instanceof library.VersionConflictError && taken instanceof Taken);
  assert(!(taken instanceof AlsoTaken));
  assert(new OutOfStock() instanceof other.AetherError);
  assert(new OutOfStock() instanceof OutOfStock);
  assert(!(new library.AetherError() instanceof OutOfStock));
  assert(!(new other.AetherError() instanceof OutOfStock));
  assert(!(new other.VersionConflictError(conflict) instanceof AlsoTaken));
});

type Counted = library.Event<"Counted", null>;
const counter: library.Decider<number, null, Counted> = {
  initialState: () => 0,
  evolve: (count) => count + 1,
  decide: () => [{ eventType: "Counted", data: null }],
};

Deno.test("execute() of one copy retries conflicts of another copy's store", async () => {
  await using store = new other.InMemoryEventStore<Counted>();
  const runs = Array.from(
    { length: 20 },
    () => library.execute(store, "counter", counter, null, { retries: 100 }),
  );
  await Promise.all(runs);
  assert.equal(await store.getLatestVersion("counter"), 20);
});

Deno.test("an InMemoryStorage of one copy holds the events of another copy's store", async () => {
  const storage = new library.InMemoryStorage();
  await using ours = new library.InMemoryEventStore({ storage });
  await using theirs = new other.InMemoryEventStore({ storage });
  await theirs.append("order-1", [{ eventType: "Placed", data: 1 }], { expectedVersion: 0 });
  assert.equal((await ours.getEvents("order-1"))[0]?.data, 1);
});

Deno.test("copyEvents() of one copy keeps the schema versions that another copy's store knows", async () => {
  const events = {
    Placed: { version: 2, upcast: [(data: { total: number }) => ({ cents: data.total * 100 })] },
  };
  const storage = new other.InMemoryStorage();
  {
    await using before = new other.InMemoryEventStore({ storage });
    await before.append("order-1", [{ eventType: "Placed", data: { total: 5 } }], { expectedVersion: 0 });
  }
  await using from = new other.InMemoryEventStore({ storage, events });
  const target = new library.InMemoryStorage();
  await using to = new library.InMemoryEventStore({ storage: target, events });
  await library.copyEvents(from, to);
  await using plain = new library.InMemoryEventStore({ storage: target });
  assert.deepEqual((await plain.getEvents("order-1"))[0]?.data, { total: 5 }); // as it was stored
  assert.deepEqual((await to.getEvents("order-1"))[0]?.data, { cents: 500 });
});

Deno.test("a store of one copy announces on another copy's bus", async () => {
  await using bus = new other.LocalEventBus();
  await using store = new library.InMemoryEventStore({ bus });
  const subscription = bus.subscribe("__internal__", {});
  await subscription.ready;
  await store.append("order-1", [{ eventType: "Placed", data: 1 }], { expectedVersion: 0 });
  for await (const event of subscription as AsyncIterable<library.Event>) {
    assert.equal(event.actorId, "order-1");
    break;
  }
});
