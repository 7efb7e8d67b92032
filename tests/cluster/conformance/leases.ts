/** What every lease store must do. */
import assert from "node:assert/strict";
import { ClosedError, InvalidArgumentError } from "../../../src/errors.ts";
import { LeaseLostError, type LeaseStore } from "../../../src/cluster/mod.ts";
import { withTime } from "../../support/pulse.ts";
import { until } from "../../support/until.ts";

/** How a test gets stores that share their leases, as two processes would. */
export interface LeaseBackend {
  open(): Promise<LeaseStore>;
  /** Makes all that is stored away, as if the bucket were deleted. */
  wipe(): Promise<void>;
}

const QUICK = { ttl: 2000, maxClockSkew: 200 };

/** A bucket that was just made may have replaced a lost one, and waits for a whole time to live before it grants a lease. */
async function aged(stores: readonly LeaseStore[]): Promise<void> {
  for (const store of stores) await (await store.acquire("old enough", QUICK)).release();
}

/** Runs the suite against one backend, which is made once for all of its steps. */
export function testLeases(
  name: string,
  use: (run: (backend: LeaseBackend) => Promise<void>) => Promise<void>,
): void {
  const steps: [criterion: string, run: (backend: LeaseBackend) => Promise<void>][] = [];
  const test = (criterion: string, run: (backend: LeaseBackend) => Promise<void>): void => {
    steps.push([criterion, run]);
  };
  Deno.test(name, (t) =>
    use(async (backend) => {
      for (const [criterion, run] of steps) await t.step(criterion, () => run(backend));
    }));

  test("gives a lease to one of many", async (backend) => {
    const stores = await Promise.all(Array.from({ length: 4 }, () => backend.open()));
    await aged(stores);
    const leases = await Promise.all(stores.map((store) => store.tryAcquire("one", QUICK)));
    assert.equal(leases.filter((lease) => lease?.isHeld).length, 1);
    await Promise.all(stores.map((store) => store.close()));
  });

  test("hands over at once on release, under a higher token", async (backend) => {
    await using a = await backend.open();
    await using b = await backend.open();
    const first = await a.acquire("key", QUICK);
    const waiting = b.acquire("key", QUICK);
    await first.release();
    const second = await waiting;
    assert.equal(first.isHeld, false);
    assert.equal(first.status, "released");
    assert(second.isHeld);
    assert(second.fencingToken > first.fencingToken);
    await first.release();
    assert(second.isHeld, "a second release must not touch the successor");
  });

  test("has tokens that compare over all keys", async (backend) => {
    await using a = await backend.open();
    await using b = await backend.open();
    let last = 0;
    for (const [store, key] of [[a, "x"], [b, "y"], [a, "z"]] as const) {
      const { fencingToken } = await store.acquire(key, QUICK);
      assert(Number.isSafeInteger(fencingToken) && fencingToken > last);
      last = fencingToken;
    }
  });

  test("has higher tokens after the store was deleted and made again", async (backend) => {
    let before: number;
    {
      await using store = await backend.open();
      before = (await store.acquire("key", QUICK)).fencingToken;
    }
    await backend.wipe();
    await using store = await backend.open();
    assert((await store.acquire("key", QUICK)).fencingToken > before);
  });

  test("renews for longer than the time to live", async (backend) => {
    await withTime(QUICK.ttl, async (ttl) => {
      await using a = await backend.open();
      await using b = await backend.open();
      const options = { ...QUICK, ttl };
      const lease = await a.acquire("key", options);
      await new Promise((resolve) => setTimeout(resolve, 1.3 * ttl));
      assert(lease.isHeld);
      assert.equal(lease.status, "held");
      assert.equal(await b.tryAcquire("key", options), undefined);
    });
  });

  test("ends the waiting by the signal", async (backend) => {
    await using a = await backend.open();
    await using b = await backend.open();
    await a.acquire("key", QUICK);
    const reason = new Error("enough");
    const abort = new AbortController();
    const waiting = assert.rejects(
      b.acquire("key", { ...QUICK, signal: abort.signal }),
      (error) => error === reason,
    );
    abort.abort(reason);
    await waiting;
    await assert.rejects(b.acquire("key", { ...QUICK, signal: abort.signal }), (error) => error === reason);
  });

  test("aborts the lease's signal with the reason", async (backend) => {
    await using store = await backend.open();
    const lease = await store.acquire("key", QUICK);
    assert.equal(lease.signal.aborted, false);
    await lease.release();
    assert(lease.signal.reason instanceof LeaseLostError);
    assert.equal(lease.signal.reason.reason, "released");
    assert.equal(lease.signal.reason.fencingToken, lease.fencingToken);
  });

  test("ends when the store is deleted", async (backend) => {
    await using store = await backend.open();
    const lease = await store.acquire("key", { ...QUICK, renewEvery: 50 });
    await backend.wipe();
    await until("the loss is noticed", () => !lease.isHeld);
    assert(["taken", "expired", "released"].includes(lease.status));
  });

  test("keeps keys with any characters apart", async (backend) => {
    await using store = await backend.open();
    const keys = ["a.b", "a", "*", ">", "a b", "\u{1F600}", "=2E", ".", "x".repeat(256), "$JS", "__proto__"];
    const leases = [];
    await aged([store]);
    for (const key of keys) leases.push(await store.tryAcquire(key, QUICK));
    assert(leases.every((lease) => lease?.isHeld));
  });

  test("refuses bad input by name, before anything is stored", async (backend) => {
    await using store = await backend.open();
    const refused = async (
      argument: string,
      key: string,
      options: Record<string, unknown> = {},
    ): Promise<void> => {
      await assert.rejects(store.acquire(key, options), (error) => {
        assert(error instanceof InvalidArgumentError, String(error));
        assert.equal(error.argument, argument);
        return true;
      });
    };
    await refused("key", "");
    await refused("key", "x".repeat(300));
    await refused("key", "\ud800");
    await refused("options.ttl", "key", { ttl: 1999 });
    await refused("options.ttl", "key", { ttl: Number.NaN });
    await refused("options.ttl", "key", { ttl: 1e9 });
    await refused("options.ttl", "key", { ttl: "5s" });
    await refused("options.maxClockSkew", "key", { ttl: 2000, maxClockSkew: 1500 });
    await refused("options.renewEvery", "key", { ttl: 3000, renewEvery: 2000 });
    await refused("options.holder", "key", { holder: 7 });
    // More than a value of Deno KV can have: the write would fail for as long as it is tried.
    await refused("options.holder", "key", { holder: "x".repeat(100_000) });
    await aged([store]);
    assert((await store.tryAcquire("key", QUICK))?.isHeld);
  });

  test("refuses to work once closed", async (backend) => {
    const store = await backend.open();
    const lease = await store.acquire("key", QUICK);
    await store.close();
    await store.close();
    assert.equal(lease.isHeld, false);
    await assert.rejects(store.acquire("key", QUICK), ClosedError);
  });
}
