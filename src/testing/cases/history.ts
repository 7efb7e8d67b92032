/**
 * A random history: steps taken on a store and on the model alike.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { EventInput, NewEvent, StoredEvent } from "../../event/types.ts";
import { InvalidArgumentError } from "../../errors.ts";
import type { ExpectedVersion } from "../../store/types.ts";
import type { CaseContext } from "../context.ts";
import type { StoreUnderTest } from "../harness.ts";
import { all, happened, happenedTo, wholeLog } from "../support.ts";
import { agree, assertEvents } from "./agreement.ts";
import { ReferenceStore } from "./reference.ts";
import { ACTORS, type Step } from "./steps.ts";

/** An append that can be repeated. */
interface Attempt {
  readonly actorId: string;
  readonly events: readonly NewEvent[];
  readonly expectedVersion: ExpectedVersion;
}

/** One random history over a backend of its own, of two store objects where it can be shared. */
export class History {
  readonly #context: CaseContext;
  readonly #attempts: Attempt[] = [];
  readonly #snapshots = new Map<string, number>();
  /** The model, which takes every step too. */
  readonly reference: ReferenceStore;
  #stores: readonly [StoreUnderTest, StoreUnderTest];
  #saved = 0;

  private constructor(context: CaseContext, stores: readonly [StoreUnderTest, StoreUnderTest]) {
    this.#context = context;
    this.#stores = stores;
    this.reference = new ReferenceStore(stores[0].limits);
  }

  /** The open stores, which are one where the backend cannot be shared. */
  get stores(): readonly StoreUnderTest[] {
    return this.#stores;
  }

  /** Opens the stores. */
  static async begin(context: CaseContext): Promise<History> {
    return new History(context, await History.#open(context));
  }

  static async #open(
    context: CaseContext,
    first?: StoreUnderTest,
  ): Promise<readonly [StoreUnderTest, StoreUnderTest]> {
    const store = first ?? await context.open();
    return context.can("sharing") ? [store, await context.open()] : [store, store];
  }

  /** Takes the steps, and compares everything in the end. */
  async run(steps: readonly Step[]): Promise<void> {
    for (const step of steps) await this.take(step);
    await this.compare();
  }

  /** Takes one step on one of the stores. */
  async take(step: Step): Promise<void> {
    const store = this.stores[step.on]!;
    const reference = this.reference;
    switch (step.kind) {
      case "append": {
        const latest = reference.latest(step.actor);
        const expectedVersion = typeof step.expected === "string"
          ? step.expected
          : Math.max(0, latest + step.expected);
        const events = Array.from({ length: step.count }, () => this.#event(step.ids));
        return await this.#append(store, { actorId: step.actor, events, expectedVersion }, step.token);
      }
      case "repeat": {
        const attempt = this.#attempts[step.earlier % this.#attempts.length];
        return attempt && await this.#append(store, attempt, step.token);
      }
      case "save":
        return await this.#save(store, step.parts, step.token);
      case "oversize": {
        const count = (step.unit === "actors" ? store.limits.actorsPerCommit : store.limits.eventsPerCommit) +
          1;
        const events = Array.from(
          { length: count },
          (_, index) =>
            step.unit === "actors"
              ? happenedTo(`${step.actor}/${index}`, 1)
              : happenedTo(step.actor, reference.latest(step.actor) + 1 + index),
        );
        return await agree(() => store.saveEvents(events), reference.save(events, undefined));
      }
      case "takeOver":
        return await agree(
          () => store.takeOver(step.actor, step.token).then(() => []),
          reference.takeOver(step.actor, step.token),
        );
      case "read":
        return await this.#read(store, step);
      case "readAll": {
        const position = (await wholeLog(store))[step.after - 1]?.position;
        const read = await all(() =>
          store.readAll({
            ...(position && { after: position }),
            ...(step.limit === undefined ? {} : { limit: step.limit }),
            ...(step.prefix === undefined ? {} : { actorPrefix: step.prefix }),
          })
        );
        const expected = reference.log.slice(position ? step.after : 0)
          .filter(({ actorId }) => actorId.startsWith(step.prefix ?? "")).slice(0, step.limit);
        return assertEvents(read, expected);
      }
      case "snapshot":
        return await this.#snapshot(store, step.actor, step.ahead);
      case "reopen": {
        if (!this.#context.can("reopening")) return;
        this.#stores = await History.#open(this.#context, await this.#context.reopen());
      }
    }
  }

  #event(withId: boolean): NewEvent {
    const number = ++this.#saved;
    return happened(number, {
      ...(withId && { id: `event-${number}` }),
      eventType: number % 3 === 0 ? "Third" : "Other",
    });
  }

  async #append(store: StoreUnderTest, attempt: Attempt, token: number | undefined): Promise<void> {
    const { actorId, events, expectedVersion } = attempt;
    const options = { expectedVersion, ...(token === undefined ? {} : { fencingToken: token }) };
    const verdict = this.reference.append(actorId, events, expectedVersion, token);
    await agree(() => store.append(actorId, events, options), verdict);
    this.#attempts.push(attempt);
  }

  async #save(
    store: StoreUnderTest,
    parts: readonly { actor: string; ahead: number }[],
    token: number | undefined,
  ): Promise<void> {
    const versions = new Map<string, number>();
    const events: EventInput[] = [];
    for (const { actor, ahead } of parts) {
      const previous = versions.get(actor);
      // Inside a batch versions must rise; against what is stored they need not, and then conflict.
      const version = previous === undefined
        ? Math.max(1, this.reference.latest(actor) + ahead)
        : previous + Math.max(1, ahead);
      versions.set(actor, version);
      events.push({ ...this.#event(true), actorId: actor, version });
    }
    const options = token === undefined ? {} : { fencingToken: token };
    const verdict = this.reference.save(events, token);
    const save = (): Promise<StoredEvent[]> =>
      events.length === 1
        ? store.saveEvent(events[0]!, options).then((event) => [event])
        : store.saveEvents(events, options);
    await agree(save, verdict);
  }

  async #read(store: StoreUnderTest, step: Step & { kind: "read" }): Promise<void> {
    const { actor: actorId, from, to, backward } = step;
    const read = await all(() =>
      store.readEvents(actorId, {
        fromVersion: from,
        toVersion: to,
        direction: backward ? "backward" : "forward",
        ...(step.limit === undefined ? {} : { limit: step.limit }),
      })
    );
    const chosen = this.reference.events(actorId).filter(({ version }) => version >= from && version <= to);
    assertEvents(read, (backward ? chosen.toReversed() : chosen).slice(0, step.limit));
    assert.equal(await store.getLatestVersion(actorId), this.reference.latest(actorId));
    const rest = this.reference.events(actorId).filter(({ version }) => version >= from);
    assertEvents(await store.getEvents(actorId, from), rest);
  }

  async #snapshot(store: StoreUnderTest, actorId: string, ahead: number): Promise<void> {
    if (!store.saveSnapshot || !store.getLatestSnapshot || !this.#context.can("snapshots")) return;
    const latest = this.reference.latest(actorId);
    const version = Math.max(1, latest + ahead);
    const kept = this.#snapshots.get(actorId);
    const timestamp = "2026-01-31T12:00:00.000Z";
    try {
      await store.saveSnapshot({
        actorId,
        kind: "state",
        schemaVersion: 1,
        version,
        state: version,
        timestamp,
      });
      assert(version <= latest, "a snapshot of a version that is not reached is taken");
      if (version >= (kept ?? 0)) this.#snapshots.set(actorId, version);
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      assert(version > latest, error.message);
    }
    assert.equal((await store.getLatestSnapshot(actorId, "state"))?.state, this.#snapshots.get(actorId));
  }

  /** Compares everything that can be read. */
  async compare(): Promise<void> {
    const reference = this.reference;
    for (const store of this.#stores) {
      const log = await wholeLog(store);
      assertEvents(log, reference.log);
      assert.equal(await store.getLastPosition(), log.at(-1)?.position);
      for (const actorId of new Set([...ACTORS, ...reference.actorIds])) {
        assertEvents(await store.getEvents(actorId), reference.events(actorId));
        assert.equal(await store.getLatestVersion(actorId), reference.latest(actorId));
      }
      const listed = (await all(() => store.listActors())).map(({ actorId }) => actorId);
      assert.deepEqual(listed.toSorted(), reference.actorIds.toSorted());
      const { ok, events, faults } = await store.verify();
      assert.deepEqual([ok, events, faults], [true, reference.log.length, []]);
    }
  }
}
