/**
 * Snapshots.
 *
 * @module
 */

import assert from "node:assert/strict";
import { InvalidArgumentError } from "../../errors.ts";
import type { Snapshot } from "../../store/snapshot.ts";
import type { CaseContext, CaseDefinition, Theme } from "../context.ts";
import {
  changesNothing,
  history,
  refused,
  snapshotting,
  type SnapshottingStore,
  wholeLog,
} from "../support.ts";

function snapshot(version: number, more: Partial<Snapshot> = {}): Snapshot {
  return {
    actorId: "order",
    kind: "state",
    schemaVersion: 1,
    version,
    state: { total: version },
    timestamp: "2026-01-31T12:00:00.000Z",
    ...more,
  };
}

/** A case over a store whose actor `order` has 5 events. */
function withHistory(
  name: string,
  run: (store: SnapshottingStore, context: CaseContext) => Promise<void>,
): CaseDefinition {
  return {
    name,
    needs: "snapshots",
    async run(context): Promise<void> {
      const store = snapshotting(await context.open());
      await history(store, "order", 5);
      await run(store, context);
    },
  };
}

/** Snapshots. */
export const snapshots: Theme = {
  topic: "snapshots",
  cases: [
    withHistory("a snapshot comes back as it was saved, frozen, and is no event", async (store) => {
      assert.equal(await store.getLatestSnapshot("order", "state"), undefined);
      const log = await wholeLog(store);
      const taken = snapshot(3, { state: { items: [{ price: 5 }] }, timestamp: "2026-01-31T13:00:00+01:00" });
      await store.saveSnapshot(taken);
      (taken.state as { items: unknown[] }).items.push("later");
      const kept = await store.getLatestSnapshot<{ items: unknown[] }>("order", "state");
      const { position } = log[2]!;
      assert.deepEqual(kept, snapshot(3, { state: { items: [{ price: 5 }] }, position }));
      assert(Object.isFrozen(kept) && Object.isFrozen(kept?.state) && Object.isFrozen(kept?.state.items));
      assert(!Object.isFrozen(taken) && !Object.isFrozen(taken.state));
      assert.deepEqual(await wholeLog(store), log);
      assert.equal(await store.getLatestVersion("order"), 5);
    }),
    {
      name:
        "a snapshot that carries no time is stamped by the store's clock, and a Date is taken for its time",
      needs: "snapshots",
      async run({ open }): Promise<void> {
        const now = new Date("2026-01-31T12:00:00.000Z");
        const store = snapshotting(await open({ now: () => now }));
        const [{ position } = {}] = await history(store, "order", 2);
        const { timestamp, ...unstamped } = snapshot(1);
        await store.saveSnapshot(unstamped);
        assert.deepEqual(await store.getLatestSnapshot("order", "state"), {
          ...unstamped,
          timestamp,
          position,
        });
        await store.saveSnapshot({ ...unstamped, timestamp: new Date("2026-02-01T00:00:00Z") });
        const kept = await store.getLatestSnapshot("order", "state");
        assert.equal(kept?.timestamp, "2026-02-01T00:00:00.000Z");
      },
    },
    withHistory("an actor has one snapshot of each kind, and the furthest counts", async (store) => {
      await store.saveSnapshot(snapshot(2));
      await store.saveSnapshot(snapshot(4));
      await store.saveSnapshot(snapshot(3));
      await store.saveSnapshot(snapshot(1, { kind: "other", state: "other" }));
      assert.equal((await store.getLatestSnapshot("order", "state"))?.version, 4);
      assert.equal((await store.getLatestSnapshot("order", "other"))?.state, "other");
      assert.equal(await store.getLatestSnapshot("order", "stat"), undefined);
      assert.equal(await store.getLatestSnapshot("orde", "rstate"), undefined);
      await store.saveSnapshot(snapshot(4, { state: "again" }));
      assert.equal((await store.getLatestSnapshot("order", "state"))?.state, "again");
    }),
    withHistory(
      "a snapshot of a higher schema version takes the place of one that goes further",
      async (store) => {
        await store.saveSnapshot(snapshot(5));
        await store.saveSnapshot(snapshot(2, { schemaVersion: 2 }));
        const kept = await store.getLatestSnapshot("order", "state");
        assert.deepEqual([kept?.schemaVersion, kept?.version], [2, 2]);
      },
    ),
    withHistory("a version that the actor has not reached is refused", async (store) => {
      for (const [actorId, version] of [["order", 6], ["unknown", 1]] as const) {
        await changesNothing(
          store,
          [actorId],
          () =>
            refused(() => store.saveSnapshot(snapshot(version, { actorId })), InvalidArgumentError, {
              argument: "snapshot.version",
            }),
        );
        assert.equal(await store.getLatestSnapshot(actorId, "state"), undefined);
      }
      await store.saveSnapshot(snapshot(5));
    }),
    withHistory("bad snapshots are refused by the name of the field", async (store) => {
      const bad: [Partial<Record<keyof Snapshot, unknown>>, string][] = [
        [{ actorId: "" }, "actorId"],
        [{ kind: "" }, "kind"],
        [{ kind: "x".repeat(257) }, "kind"],
        [{ kind: "\ud800" }, "kind"],
        [{ schemaVersion: 0 }, "schemaVersion"],
        [{ schemaVersion: 1.5 }, "schemaVersion"],
        [{ version: 0 }, "version"],
        [{ version: "1" }, "version"],
        [{ timestamp: "yesterday" }, "timestamp"],
        [{ state: { at: new Date() } }, "state.at"],
        [{ state: { total: NaN } }, "state.total"],
        [{ state: undefined }, "state"],
        [{ state: "x".repeat(2 ** 20) }, "state"],
        [{ state: "\u20ac".repeat(400_000) }, "state"],
      ];
      for (const [fields, field] of bad) {
        const refusal = refused(
          () => store.saveSnapshot(snapshot(1, fields as Partial<Snapshot>)),
          InvalidArgumentError,
          { argument: `snapshot.${field}` },
          JSON.stringify(fields).slice(0, 60),
        );
        await refusal;
      }
      assert.equal(await store.getLatestSnapshot("order", "state"), undefined);
      for (const [actorId, kind] of [["", "state"], ["order", ""], ["order", "\ud800"]] as const) {
        await refused(() => store.getLatestSnapshot(actorId, kind), InvalidArgumentError);
      }
    }),
    withHistory("deleting the snapshots of a kind leaves other kinds and the events", async (store) => {
      const actors = ["order", "order.2", "order 2", "*", ">"];
      for (const actorId of actors.slice(1)) await history(store, actorId, 1);
      const log = await wholeLog(store);
      const kinds = ["state", "stat", "state.x", "*", ">"];
      for (const actorId of actors) {
        // One that backends may store in several pieces.
        const state = actorId === "order" ? "\u20ac".repeat(60_000) : 1;
        for (const kind of kinds) await store.saveSnapshot(snapshot(1, { actorId, kind, state }));
      }
      assert.equal(await store.deleteSnapshots("other"), 0);
      for (const deleted of ["state", "*"]) {
        assert.equal(await store.deleteSnapshots(deleted), actors.length, deleted);
        assert.equal(await store.deleteSnapshots(deleted), 0, `${deleted} again`);
      }
      for (const actorId of actors) {
        for (const kind of kinds) {
          const kept = await store.getLatestSnapshot(actorId, kind);
          assert.equal(kept !== undefined, kind !== "state" && kind !== "*", `${kind} of ${actorId}`);
        }
      }
      assert.deepEqual(await wholeLog(store), log);
      assert.deepEqual([await store.getLatestVersion("order"), await store.getLatestVersion("*")], [5, 1]);
    }),
    withHistory("after a deletion any snapshot is taken, also one of a lower version", async (store) => {
      await store.saveSnapshot(snapshot(5, { schemaVersion: 7 }));
      assert.equal(await store.deleteSnapshots("state"), 1);
      await store.saveSnapshot(snapshot(2));
      const kept = await store.getLatestSnapshot("order", "state");
      assert.deepEqual([kept?.version, kept?.schemaVersion], [2, 1]);
      assert.deepEqual(Object.keys(kept!).sort(), Object.keys(snapshot(2)).concat("position").sort());
      assert.equal(await store.deleteSnapshots("state"), 1);
    }),
    withHistory("a deletion refuses what is no kind, and an aborted signal", async (store) => {
      await store.saveSnapshot(snapshot(5));
      for (const kind of ["", "x".repeat(257), "\ud800", undefined, 5]) {
        await refused(() => store.deleteSnapshots(kind as string), InvalidArgumentError, {
          argument: "kind",
        });
      }
      const reason = new Error("enough");
      const signal = AbortSignal.abort(reason);
      await assert.rejects(async () => await store.deleteSnapshots("state", { signal }), reason);
      assert.equal((await store.getLatestSnapshot("order", "state"))?.version, 5);
    }),
    {
      name: "snapshots exist for other store objects, and after the store was reopened",
      needs: "snapshots",
      async run(context): Promise<void> {
        if (!context.can("reopening")) return;
        const store = snapshotting(await context.open());
        await history(store, "order", 2);
        await store.saveSnapshot(snapshot(2, { kind: "a.b" }));
        await store.saveSnapshot(snapshot(1, { kind: "a b" }));
        const again = snapshotting(await context.reopen());
        assert.equal((await again.getLatestSnapshot("order", "a.b"))?.version, 2);
        assert.equal((await again.getLatestSnapshot("order", "a b"))?.version, 1);
      },
    },
  ],
};
