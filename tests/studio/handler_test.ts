/** The studio's answers, on the three stores. */

import assert from "node:assert/strict";
import { type EventStore, type Projection, projectOnce } from "../../mod.ts";
import type {
  Activity,
  ActorPage,
  ActorState,
  Difference,
  EventLinks,
  EventRow,
  Given,
  Health,
  HistoryPage,
  LogPage,
  ParkedPage,
  ProjectionList,
  Session,
} from "../../src/studio/api/mod.ts";
import { studio } from "../../src/studio/mod.ts";
import { BACKENDS } from "./backends.ts";
import { Client } from "./support.ts";

const HOSTILE = `order-"><script>alert(1)</script>\u202e\n`;
const order = {
  initialState: () => ({ total: 0, shipped: false }),
  evolve: (
    state: { readonly total: number; readonly shipped: boolean },
    { eventType, data }: { readonly eventType: string; readonly data: { readonly total?: number } },
  ) => eventType === "OrderPlaced" ? { ...state, total: data.total ?? 0 } : { ...state, shipped: true },
};
const fails = {
  initialState: () => 0,
  evolve: (): number => {
    throw new RangeError("no such total");
  },
};

/** Twelve orders of two events, the second caused by the first; the last order has a hostile name. */
async function seed(store: EventStore): Promise<void> {
  for (let number = 1; number <= 12; number++) {
    const actorId = number === 12 ? HOSTILE : `order-${number}`;
    const metadata = { correlationId: `request-${number}` };
    const placed = {
      id: `placed-${number}`,
      eventType: "OrderPlaced",
      data: { total: number, note: HOSTILE },
      metadata,
    };
    await store.append(actorId, [placed], { expectedVersion: 0 });
    const shipped = { eventType: "OrderShipped", data: { carrier: "dhl" } };
    await store.append(actorId, [{ ...shipped, metadata: { ...metadata, causationId: placed.id } }], {
      expectedVersion: 1,
    });
  }
}

/** All pages of a route. */
async function pages<T>(
  next: (after: string | undefined) => Promise<readonly [T[], string | null]>,
): Promise<T[]> {
  const all: T[] = [];
  let after: string | undefined;
  do {
    const [page, following]: readonly [T[], string | null] = await next(after);
    all.push(...page);
    after = following ?? undefined;
  } while (after !== undefined);
  return all;
}

for (const backend of BACKENDS) {
  Deno.test(`a studio on ${backend.name} shows actors, their histories, states and the log by page`, async () => {
    await using opened = await backend.open();
    const { store, checkpoints } = opened;
    await seed(store);
    const ending = new AbortController();
    const { signal } = ending;
    const client = new Client(studio(store, { checkpoints, deciders: { order, fails }, signal }));
    const asked = (id: string): string => encodeURIComponent(id);

    const session = await client.get<Session>("session");
    assert.deepEqual(
      [session.backend, session.canWrite, session.deciders, session.hasProjections, session.hasCluster],
      [backend.name, false, ["order", "fails"], true, false],
    );

    const listed = await pages(async (after) => {
      const { actors, next } = await client.get<ActorPage>(`actors?limit=5${after ? `&after=${after}` : ""}`);
      assert(actors.length <= 5);
      return [[...actors], next];
    });
    assert.equal(new Set(listed.map(({ actorId }) => actorId)).size, 12);
    assert(listed.every(({ latestVersion }) => latestVersion === 2));
    const { actors } = await client.get<ActorPage>("actors?prefix=order-1&limit=500");
    assert.deepEqual(actors.map(({ actorId }) => actorId).sort(), ["order-1", "order-10", "order-11"]);

    const history = await client.get<HistoryPage>(`actor?actor=${asked(HOSTILE)}&limit=1`);
    assert.deepEqual([history.actorId, history.latestVersion, history.next], [HOSTILE, 2, 1]);
    assert.deepEqual(history.events.map(({ version }) => version), [2], "the latest first");
    const rest = await client.get<HistoryPage>(`actor?actor=${asked(HOSTILE)}&limit=1&to=${history.next}`);
    assert.deepEqual([rest.events[0]!.data, rest.next], [{ total: 12, note: HOSTILE }, null]);
    const forward = await client.get<HistoryPage>("actor?actor=order-1&direction=forward&from=1&limit=1");
    assert.deepEqual([forward.events[0]!.version, forward.next], [1, 2]);

    const state = await client.get<ActorState>("actor/state?actor=order-3&version=1&decider=order");
    assert.deepEqual([state.version, state.event?.eventType, state.state], [1, "OrderPlaced", {
      total: 3,
      shipped: false,
    }]);
    const before = await client.get<ActorState>("actor/state?actor=order-3&version=0&decider=order");
    assert.deepEqual([before.event, before.state], [null, { total: 0, shipped: false }]);
    const later = await client.get<ActorState>("actor/state?actor=order-3&decider=order");
    assert.deepEqual([later.version, later.state], [2, { total: 3, shipped: true }]);
    const back = await client.get<ActorState>("actor/state?actor=order-3&version=1&decider=order");
    assert.deepEqual(back.state, { total: 3, shipped: false });

    const byState = await client.get<Difference>("actor/diff?actor=order-3&a=2&b=1&decider=order");
    assert.deepEqual(byState.changes, [{ path: ["shipped"], before: true, after: false }]);
    const byData = await client.get<Difference>("actor/diff?actor=order-3&a=1&b=2");
    assert.deepEqual(byData.changes.map(({ path }) => path), [["total"], ["note"], ["carrier"]]);
    const given = await client.get<Given>("actor/given?actor=order-3&to=1");
    assert.match(given.text, /^given\(\[\n {2}\{ eventType: "OrderPlaced", data: \{.*\} \},\n\]\)$/);
    assert.deepEqual([given.events, given.isCut], [1, false]);

    const latest = await client.get<LogPage>("log?limit=5");
    assert.deepEqual([latest.events.length, latest.later], [5, null]);
    assert.equal(latest.last, latest.events.at(-1)!.position);
    const backward = await pages<EventRow>(async (until) => {
      const { events, earlier } = await client.get<LogPage>(`log?limit=5${until ? `&before=${until}` : ""}`);
      return [events.toReversed(), earlier];
    });
    const onward = await pages<EventRow>(async (after = "start") => {
      const { events, later } = await client.get<LogPage>(`log?limit=5&after=${after}`);
      return [[...events], later];
    });
    assert.equal(onward.length, 24);
    assert.deepEqual(backward.toReversed(), onward);
    const chosen = await client.get<LogPage>("log?type=OrderShipped&prefix=order-1&limit=50");
    assert.deepEqual(chosen.events.map(({ eventType }) => eventType), Array(3).fill("OrderShipped"));

    const first = onward[0]!;
    assert.deepEqual(await client.get<EventRow>(`event?position=${first.position}`), first);
    const ofFirst = await client.get<EventLinks>(`event/links?position=${first.position}`);
    assert.deepEqual([ofFirst.cause, ofFirst.effects, ofFirst.after], [null, [onward[1]], null]);
    const ofSecond = await client.get<EventLinks>(`event/links?position=${onward[1]!.position}`);
    assert.deepEqual([ofSecond.cause, ofSecond.effects, ofSecond.before], [first, [], null]);

    const activity = await client.get<Activity>("log/activity?limit=20");
    assert.deepEqual(activity.types.map(({ count }) => count), [10, 10]);
    assert.equal(activity.rate.reduce((sum, count) => sum + count), 20);

    const health = await client.get<Health>("health");
    assert.equal(health.last, latest.last);
    assert(health.findings.length > 0 && health.findings.every(({ advice }) => advice !== ""));
    await using verification = await client.stream("verify");
    const { data: report, id } = await verification.until("report");
    assert.deepEqual([report.ok, report.events, report.actors], [true, 24, 12]);
    assert.equal(await verification.next(), undefined);
    const again = await client.request("api/verify", { headers: { "last-event-id": id! } });
    assert.equal(again.status, 204, "a browser does not verify again by itself");
    ending.abort();
  });

  Deno.test(`a studio on ${backend.name} shows what is parked, and retries and discards it`, async () => {
    await using opened = await backend.open();
    const { store, checkpoints } = opened;
    await seed(store);
    let isBroken = true;
    const totals: Projection<never, unknown> = {
      name: "totals",
      checkpoints,
      handle: ({ actorId }: { readonly actorId: string }) => {
        if (isBroken && /^order-[567]$/.test(actorId)) throw new RangeError("no such total");
      },
      failure: { retries: 0, then: "park" },
    };
    const typed = store as EventStore<never>;
    await projectOnce(typed, totals, { onWarning: () => {} });
    const writing = new Client(studio(typed, { projections: [totals], write: true }));
    const { projections: [row] } = await writing.get<ProjectionList>("projections");
    assert.deepEqual([row!.name, row!.state, row!.parked, row!.canRetry], ["totals", "up-to-date", 3, true]);
    const page = await writing.get<ParkedPage>("parked?projection=totals&limit=2");
    assert.deepEqual(page.parked.map(({ actorId, blocksActor }) => [actorId, blocksActor]), [
      ["order-5", true],
      ["order-6", true],
    ]);
    const [five, six] = page.parked;
    const { parked: [seven] } = await writing.get<ParkedPage>(`parked?projection=totals&after=${page.next}`);
    assert.equal(seven!.actorId, "order-7");

    const command = (position: string): unknown => ({ projection: "totals", position });
    const reading = new Client(studio(store, { checkpoints }));
    const denied = await reading.post("parked/discard", command(five!.position));
    assert.deepEqual([denied.status, (await denied.json()).code], [403, "read-only"]);
    const failed = await writing.post("parked/retry", command(five!.position));
    assert.equal(failed.status, 409);
    assert.match((await failed.json()).message, /no such total/);

    isBroken = false;
    const retried = await writing.post("parked/retry", command(five!.position));
    assert.deepEqual(await retried.json(), { parked: 2, next: null });
    const gone = await writing.post("parked/retry", command(five!.position));
    assert.deepEqual([gone.status, (await gone.json()).code], [404, "not-found"]);

    // Without the handler nothing that waits is taken to be handled.
    const stranger = new Client(studio(store, { checkpoints, write: true }));
    const unknown = await stranger.post("parked/retry", command(six!.position));
    assert.equal(unknown.status, 400);
    const discarded = await stranger.post("parked/discard", command(six!.position));
    const { parked, next } = await discarded.json();
    assert.deepEqual([parked, next.actorId, next.eventVersion], [2, "order-6", 2]);
    const known = await writing.post("parked/discard", command(seven!.position));
    assert.deepEqual(await known.json(), { parked: 1, next: null });
  });
}
