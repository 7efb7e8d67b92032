/**
 * The stores and checkpoints that projections are tested on, and counted read models.
 *
 * @module
 */

import {
  type CheckpointStore,
  DenoKvCheckpoints,
  DenoKvEventStore,
  type Event,
  type EventStore,
  InMemoryCheckpoints,
  InMemoryEventStore,
  type KvTransaction,
  type StoredEvent,
} from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";

export { until } from "../support/until.ts";

/** What is counted. */
export type Counted = Event<"Added", { readonly by: number }> | Event<"Removed", { readonly by: number }>;

/** A store and a place for checkpoints, of one kind. */
export interface Place extends AsyncDisposable {
  readonly store: EventStore<Counted>;
  readonly checkpoints: CheckpointStore<unknown>;
}

/** A place in Deno KV, with its database. */
export interface KvPlace extends AsyncDisposable {
  readonly file: string;
  readonly kv: Deno.Kv;
  readonly store: DenoKvEventStore<Counted>;
  readonly checkpoints: DenoKvCheckpoints;
}

/** In memory. */
export function memoryPlace(): Promise<Place> {
  const store = new InMemoryEventStore<Counted>();
  const checkpoints = new InMemoryCheckpoints();
  return Promise.resolve({
    store,
    checkpoints,
    async [Symbol.asyncDispose](): Promise<void> {
      await checkpoints.close();
      await store.close();
    },
  });
}

/** In Deno KV, the read model in the same file. */
export async function kvPlace(): Promise<KvPlace> {
  const folder = await kvFolder();
  const kv = await Deno.openKv(folder.file);
  const store = await DenoKvEventStore.open<Counted>(folder.file, { pollInterval: 5 });
  const checkpoints = await DenoKvCheckpoints.open(kv);
  return {
    file: folder.file,
    kv,
    store,
    checkpoints,
    async [Symbol.asyncDispose](): Promise<void> {
      await checkpoints.close();
      await store.close();
      kv.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Every kind of place. */
export const PLACES: Readonly<Record<string, () => Promise<Place>>> = {
  memory: memoryPlace,
  "Deno KV": kvPlace,
};

/** Appends so many events, to a few actors in turn. */
export async function add(
  store: EventStore<Counted>,
  count: number,
  actors: readonly string[] = ["a", "b", "c"],
): Promise<StoredEvent<Counted>[]> {
  const stored: StoredEvent<Counted>[] = [];
  for (let index = 0; index < count; index++) {
    const actorId = actors[index % actors.length]!;
    const eventType = index % 5 === 4 ? "Removed" : "Added";
    stored.push(
      ...await store.append(actorId, [{ eventType, data: { by: index } }], { expectedVersion: "any" }),
    );
  }
  return stored;
}

/** A store whose actors a0, a1 and so on have one event each, of these types. */
export async function storeOf(...types: string[]): Promise<InMemoryEventStore> {
  const store = new InMemoryEventStore();
  for (const [index, eventType] of types.entries()) {
    await store.append(`a${index}`, [{ eventType, data: null }], { expectedVersion: 0 });
  }
  return store;
}

/** Warnings are not printed. */
export const quiet = { onWarning: (): void => {} };
/** For a call that is to handle all that is there, however slow this machine is: by itself it ends after a second. */
export const patient = { budgetMs: 600_000 };
/** An event that fails is set aside after another attempt, and the later ones of its actor go on. */
export const park = { retries: 1, firstDelay: 1, then: "park", laterEvents: "go-on" } as const;

/** What a read model in Deno KV is to hold: of each actor the sum and the order of its versions. */
export interface Sum {
  readonly sum: number;
  readonly versions: readonly number[];
}

/** Adds an event to the read model of its actor, in the handler's transaction. */
export async function addUp(
  transaction: KvTransaction,
  { actorId, version, data }: StoredEvent<Counted>,
  model = "sums",
): Promise<void> {
  const key = [model, actorId];
  const { sum, versions } = await transaction.get<Sum>(key) ?? { sum: 0, versions: [] };
  transaction.set(key, { sum: sum + data.by, versions: [...versions, version] });
}

/** The read model as it must be, from the log. */
export async function sumsOf(store: EventStore<Counted>): Promise<Map<string, Sum>> {
  const sums = new Map<string, Sum>();
  for await (const { actorId, version, data } of store.readAll()) {
    const { sum, versions } = sums.get(actorId) ?? { sum: 0, versions: [] };
    sums.set(actorId, { sum: sum + data.by, versions: [...versions, version] });
  }
  return sums;
}

/** The read model as it is. */
export async function sumsIn(kv: Deno.Kv, model = "sums"): Promise<Map<string, Sum>> {
  const sums = new Map<string, Sum>();
  for await (const { key, value } of kv.list<Sum>({ prefix: [model] })) sums.set(key[1] as string, value);
  return sums;
}
