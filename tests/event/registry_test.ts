/** The registry of event types refuses definitions that do not add up. */

import assert from "node:assert/strict";
import { InvalidArgumentError } from "../../src/errors.ts";
import { EventSchemaError, SchemaVersionError } from "../../src/event/errors.ts";
import { EventRegistry, noteSchemaVersion } from "../../src/event/registry.ts";
import type { StoredEvent } from "../../src/event/types.ts";

function event(data: unknown): StoredEvent {
  return Object.freeze({
    id: "one",
    eventType: "Placed",
    actorId: "order",
    version: 7,
    data,
    timestamp: "2026-01-31T12:00:00.000Z",
    position: "p",
  });
}

/** An event as it was stored under a schema version. */
function stored(schemaVersion: number): StoredEvent {
  const read = event(1);
  noteSchemaVersion(read, schemaVersion);
  return read;
}

Deno.test("EventRegistry refuses versions that are none, and upcasters that are too few or too many", () => {
  const refused = (definition: object, argument: string): void => {
    assert.throws(
      () => new EventRegistry({ Placed: definition }),
      (error) => error instanceof InvalidArgumentError && error.argument === `events.Placed.${argument}`,
    );
  };
  for (const version of [0, -1, 1.5, NaN, "2"]) refused({ version }, "version");
  refused({ version: 2 }, "upcast");
  refused({ upcast: [() => 1] }, "upcast");
  refused({ version: 3, upcast: [() => 1] }, "upcast");
  for (const renamedFrom of ["", "Placed", 5, [""], [undefined], new Proxy([], {})]) {
    refused({ renamedFrom }, "renamedFrom");
  }
  assert.throws(
    () => new EventRegistry({ Placed: { renamedFrom: "Ordered" }, Ordered: {} }),
    (error) => error instanceof InvalidArgumentError && error.argument === "events.Ordered",
  );
  assert(new EventRegistry({ Placed: undefined }).checksNothing);
  assert(new EventRegistry({ Placed: { version: 1 } }).isIdle);
});

Deno.test("EventRegistry.restore() upcasts step by step, and hands out the very event where nothing is to do", async () => {
  const registry = new EventRegistry({
    Placed: { version: 3, upcast: [(n: number) => n + 1, (n: number) => n * 10] },
  });
  assert.equal(registry.versionOf("Placed"), 3);
  assert.equal(registry.versionOf("Other"), 1);
  assert.equal([await registry.restore(stored(1))].flat()[0]!.data, 20);
  assert.equal([await registry.restore(stored(2))].flat()[0]!.data, 10);
  const same = stored(3);
  assert.equal(registry.restore(same), same);
  assert.throws(
    () => registry.restore(stored(4)),
    (error) =>
      error instanceof SchemaVersionError && error.storedVersion === 4 && error.registeredVersion === 3 &&
      error.version === 7 && error.position === "p",
  );
});

Deno.test("EventRegistry.restore() wraps what an upcaster throws", () => {
  const cause = new Error("no amount");
  const registry = new EventRegistry({
    Placed: {
      version: 2,
      upcast: [() => {
        throw cause;
      }],
    },
  });
  assert.throws(
    () => registry.restore(stored(1)),
    (error) => error instanceof EventSchemaError && error.cause === cause && error.actorId === "order",
  );
});
