/**
 * What a case works with: stores that are closed behind it, over backends that are removed behind it.
 *
 * @module
 */

import type { EventStoreOptions } from "../store/store_options.ts";
import type { BackendUnderTest, Capability, EventStoreHarness, StoreUnderTest } from "./harness.ts";

/** How thorough and how patient a case is; every default filled in. */
export interface Effort {
  /** Milliseconds to wait for what must happen. */
  readonly patience: number;
  /** Random histories. */
  readonly numRuns: number;
  /** The seed of random histories. */
  readonly seed: number | undefined;
  /** The scale of loads. */
  readonly load: number;
}

/** A case before it is given stores. */
export interface CaseDefinition {
  /** What it shows. */
  readonly name: string;
  /** What the store must be able to do. */
  readonly needs?: Capability;
  /** Whether the quick half of the suite leaves it out. */
  readonly slow?: boolean;
  /** Runs it. */
  readonly run: (context: CaseContext) => Promise<void>;
}

/** The cases of one theme. */
export interface Theme {
  /** What they are about. */
  readonly topic: string;
  /** Its cases. */
  readonly cases: readonly CaseDefinition[];
}

/** Everything that one run of a case sets up. */
export class CaseContext implements AsyncDisposable {
  /** How thorough and how patient the case is. */
  readonly effort: Effort;
  readonly #harness: EventStoreHarness;
  readonly #stores = new Set<StoreUnderTest>();
  readonly #backends: BackendUnderTest[] = [];

  /** Sets nothing up yet. */
  constructor(harness: EventStoreHarness, effort: Effort) {
    this.#harness = harness;
    this.effort = effort;
  }

  /** Whether the store is able to do something. */
  can(capability: Capability): boolean {
    return !this.#harness.lacks?.includes(capability);
  }

  /** A number of events or rounds, scaled by the effort. */
  scaled(count: number): number {
    return Math.max(1, Math.round(count * this.effort.load));
  }

  /** Opens a store over the case's backend. */
  readonly open = async (options: EventStoreOptions = {}): Promise<StoreUnderTest> => {
    return await this.#open(this.#backends[0] ?? await this.#setUp(), options);
  };

  /** Opens a store over another backend, which shares nothing with the case's own. */
  readonly openElsewhere = async (options: EventStoreOptions = {}): Promise<StoreUnderTest> => {
    if (this.#backends.length === 0) await this.#setUp();
    return await this.#open(this.#backends[1] ?? await this.#setUp(), options);
  };

  /** A context with backends of its own, for a case of many runs. */
  again(): CaseContext {
    return new CaseContext(this.#harness, this.effort);
  }

  /** Closes every store and opens one again over the case's backend. */
  readonly reopen = async (options: EventStoreOptions = {}): Promise<StoreUnderTest> => {
    await this.#closeStores();
    return await this.open(options);
  };

  /** Closes every store and copies what the case's backend holds. */
  readonly backUp = async (): Promise<void> => {
    await this.#closeStores();
    await this.#hook("restoring", "backUp")();
  };

  /** Closes every store and puts the case's backend back to what was copied. */
  readonly restore = async (): Promise<void> => {
    await this.#closeStores();
    await this.#hook("restoring", "restore")();
  };

  /** Deletes the log of the default namespace; stores stay open. */
  readonly deleteLog = async (): Promise<void> => {
    await this.#hook("replacing", "deleteLog")();
  };

  #hook(capability: Capability, name: "backUp" | "restore" | "deleteLog"): () => void | Promise<void> {
    const backend = this.#backends[0];
    const hook = backend?.[name];
    if (!backend || !hook) {
      throw new Error(`The harness has no ${name}(): declare that it lacks "${capability}"`);
    }
    return () => hook.call(backend);
  }

  /** Closes and removes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#closeStores();
    } finally {
      for (const backend of this.#backends.splice(0)) await backend.dispose?.();
    }
  }

  async #setUp(): Promise<BackendUnderTest> {
    const backend = await this.#harness.setUp();
    this.#backends.push(backend);
    return backend;
  }

  async #open(backend: BackendUnderTest, options: EventStoreOptions): Promise<StoreUnderTest> {
    const store = await backend.open(options);
    this.#stores.add(store);
    return store;
  }

  async #closeStores(): Promise<void> {
    const stores = [...this.#stores];
    this.#stores.clear();
    await Promise.all(stores.map((store) => store.close()));
  }
}
