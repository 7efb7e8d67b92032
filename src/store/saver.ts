/**
 * From checked parts of a commit to stored events: what the save requires, the schemas, the commit and its announcement, and
 * whether a conflict is with an earlier, equal save.
 *
 * @module
 */

import type { EventRegistry } from "../event/registry.ts";
import type { Event, StoredEvent } from "../event/types.ts";
import type { TelemetrySource } from "../telemetry.ts";
import type { Announcer } from "./announcer.ts";
import type { StorageBackend } from "./backend.ts";
import {
  checkCondition,
  checkCounts,
  checkExpected,
  Commit,
  type CommitPart,
  divideConditions,
  NO_CONDITIONS,
} from "./commit.ts";
import { explainConflict } from "./idempotent_append.ts";
import type { Lifetime } from "./lifetime.ts";
import { observeSave, type SaveOperation } from "./observation.ts";
import type { CheckedSave } from "./save_options.ts";
import type { ExpectedVersion } from "./types.ts";

/** What a saver works with. */
export interface SaverSetup {
  /** The namespace of the store. */
  readonly namespace: string;
  /** Where events are stored. */
  readonly backend: StorageBackend;
  /** The schemas. */
  readonly registry: EventRegistry;
  /** Announces what was stored; `undefined` without a bus. */
  readonly announcer: Announcer | undefined;
  /** Whether saves are observed, and by what. */
  readonly telemetry: TelemetrySource;
  /** Of the store: saves that have begun are waited for when it is closed. */
  readonly lifetime: Lifetime;
}

/**
 * Saves events of one store.
 *
 * @typeParam E The union of the events that it holds.
 */
export class Saver<E extends Event> {
  readonly #namespace: string;
  readonly #backend: StorageBackend;
  readonly #registry: EventRegistry;
  readonly #announcer: Announcer | undefined;
  readonly #telemetry: TelemetrySource;
  readonly #lifetime: Lifetime;

  /** Takes over what it works with. */
  constructor({ namespace, backend, registry, announcer, telemetry, lifetime }: SaverSetup) {
    this.#namespace = namespace;
    this.#backend = backend;
    this.#registry = registry;
    this.#announcer = announcer;
    this.#telemetry = telemetry;
    this.#lifetime = lifetime;
  }

  /** Saves at once where the backend does: a promise costs as much as the rest of a save in memory. */
  save(
    operation: SaveOperation,
    given: readonly CommitPart[],
    save: CheckedSave,
  ): StoredEvent<E>[] | Promise<StoredEvent<E>[]> {
    const { fencingToken, unfenced, signal } = save;
    signal?.throwIfAborted();
    const { parts, conditions } = save.conditions.length === 0
      ? { parts: given, conditions: NO_CONDITIONS }
      : divideConditions(given, save.conditions);
    checkCounts(parts, this.#backend.limits, conditions.length);
    const telemetry = this.#telemetry();
    if (!telemetry) return this.#store(new Commit(parts, fencingToken, unfenced, signal, conditions));
    return observeSave(
      telemetry,
      { namespace: this.#namespace, operation, parts },
      (traced) => this.#store(new Commit(traced, fencingToken, unfenced, signal, conditions)),
    );
  }

  /** Checks what a save requires if there is nothing to store: by reads, because no commit is sent that could check it. */
  require(
    { conditions, signal }: CheckedSave,
    actorId = "",
    expected: ExpectedVersion = "any",
  ): StoredEvent<E>[] | Promise<StoredEvent<E>[]> {
    if (conditions.length === 0 && expected === "any") return [];
    signal?.throwIfAborted();
    return this.#lifetime.ask(async (signal) => {
      if (expected !== "any") {
        checkExpected(actorId, expected, { version: await this.#backend.getLatestVersion(actorId, signal) });
      }
      for (const condition of conditions) {
        checkCondition(condition, {
          version: await this.#backend.getLatestVersion(condition.actorId, signal),
        });
      }
      return [];
    });
  }

  #store(commit: Commit): StoredEvent<E>[] | Promise<StoredEvent<E>[]> {
    const checked = this.#registry.checksNothing
      ? undefined
      : this.#registry.check(commit.parts.flatMap(({ drafts }) => drafts));
    if (checked) {
      const send = (): readonly StoredEvent[] | Promise<readonly StoredEvent[]> => {
        commit.signal?.throwIfAborted();
        return this.#commit(commit);
      };
      return this.#settle(commit, checked.then(send));
    }
    let stored: readonly StoredEvent[] | Promise<readonly StoredEvent[]>;
    try {
      stored = this.#commit(commit);
    } catch (error) {
      stored = Promise.reject(error);
    }
    return stored instanceof Promise ? this.#settle(commit, stored) : stored as StoredEvent<E>[];
  }

  /** Commits, and announces at once, so that announcements are in the order of commits. */
  #commit(commit: Commit): readonly StoredEvent[] | Promise<readonly StoredEvent[]> {
    const stored = this.#backend.commit(commit);
    if (!this.#announcer) return stored;
    const { announce } = this.#announcer;
    return stored instanceof Promise ? stored.then(announce) : announce(stored);
  }

  /** Waits for a save, which `close()` waits for too: with one promise for all that most saves need. */
  #settle(commit: Commit, stored: Promise<readonly StoredEvent[]>): Promise<StoredEvent<E>[]> {
    this.#lifetime.enter();
    return stored.then(this.#settled, (error) => this.#explain(commit, error)) as Promise<StoredEvent<E>[]>;
  }

  readonly #settled = (stored: readonly StoredEvent[]): readonly StoredEvent[] => {
    this.#lifetime.leave();
    return stored;
  };

  /** Finds out whether a conflict is with an earlier, equal save. */
  async #explain(commit: Commit, error: unknown): Promise<readonly StoredEvent[]> {
    try {
      return await this.#registry.restoreAll(await explainConflict(commit, error, this.#backend));
    } finally {
      this.#lifetime.leave();
    }
  }
}
