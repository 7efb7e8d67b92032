/**
 * The keys of persons: made, kept encrypted, and destroyed when a person is to be forgotten.
 *
 * ```text
 * <namespace>.master.<hash>    shows that a master key is the right one
 * <namespace>.person.<hash>    the key of a person, and those that are being forgotten
 * <namespace>.key.<id>         the key, encrypted with a master key; or when its person was forgotten
 * <namespace>.actor.<hash>     the keys of the persons that an actor has data of
 * ```
 *
 * @module
 */

import type { NamedBucketOptions } from "../cluster/jetstream/open.ts";
import { BackendError, InvalidArgumentError } from "../errors.ts";
import { validateUserNamespace } from "../event/namespace.ts";
import type { Event, StoredEvent } from "../event/types.ts";
import type { NatsConnection } from "../nats/connection.ts";
import { checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { VersionConflictError } from "../store/errors.ts";
import { VaultError } from "../store/personal_errors.ts";
import type { ForgottenKey, PersonalCipher, PersonalVault } from "../store/personal_vault.ts";
import { RecentMap } from "../store/recent_map.ts";
import type { EventStore } from "../store/types.ts";
import { untyped } from "../store/untyped.ts";
import { describe, nameFault } from "../text.ts";
import { DataKey, hashOf, type MasterKey, OpenMasterKey } from "./vault_keys.ts";
import {
  denoKvPlace,
  jetStreamPlace,
  memoryPlace,
  type VaultPlace,
  type VaultRecord,
} from "./vault_place.ts";

/**
 * How a vault is opened.
 *
 * @category Evidence
 */
export interface VaultOptions {
  /** Encrypts the keys of persons. */
  readonly masterKey: MasterKey;
  /** The master keys before it, as long as `rotate()` has not encrypted everything with the present one. @default {none} */
  readonly previousMasterKeys?: readonly MasterKey[];
  /** Keeps vaults in one place apart. Data that were encrypted in one are not decrypted in another. @default {"default"} */
  readonly namespace?: string;
  /**
   * How long a key stays in the memory of a process, in milliseconds: for so long, another process may read data of a person that
   * was forgotten, and what it saves of the person is forgotten too.
   *
   * @default {60_000}
   */
  readonly cacheMs?: number;
}

/**
 * The receipt of an erasure. It has no data of the person: `key` is the random id of the key that was destroyed, which the
 * stored events of the person name.
 *
 * @category Evidence
 */
export type PersonForgotten = Event<"PersonForgotten", {
  readonly key: string;
  readonly forgottenAt: string;
  readonly reason?: string;
}>;

/**
 * What can be given with an erasure.
 *
 * @category Evidence
 */
export interface ForgetOptions {
  /** Why, for the receipt. Without data of the person, because the receipt is never erased. */
  readonly reason?: string;
  /** Ends it with the signal's reason. Run it again to go on. */
  readonly signal?: AbortSignal;
}

/**
 * What an erasure did.
 *
 * @category Evidence
 */
export interface ForgetReport {
  /** The receipts that are stored, one for each key that was destroyed; none if the vault had no key of the person. */
  readonly receipts: readonly StoredEvent<PersonForgotten>[];
}

const OPTIONS: OptionNames<VaultOptions> = {
  masterKey: true,
  previousMasterKeys: true,
  namespace: true,
  cacheMs: true,
};
const FORGET: OptionNames<ForgetOptions> = { reason: true, signal: true };

const DEFAULT_CACHE_MS = 60_000;
/** How many keys are kept in memory. */
const CACHED = 10_000;
/** How often a record is written against other writers. */
const MAX_TRIES = 100;
const MAX_PERSON_BYTES = 512;
const MAX_REASON_BYTES = 1_000;
/** An actor with data of more persons has no snapshots. */
const MAX_KEYS = 500;
const DEFAULT_PREFIX = "aether";

/** What is in memory for a while. */
interface Cached<T> {
  readonly value: T;
  /** On the clock of `performance.now()`. */
  readonly until: number;
}

interface PersonJson {
  readonly key?: string;
  readonly forgetting?: readonly string[];
}

type KeyJson = { readonly master: string; readonly wrapped: string } | { readonly forgotten: string };

/**
 * Keys of persons, so that their data can be forgotten although events never change. A store with the option `vault` encrypts the
 * fields that its `events` mark as `personal` with the key of the person, before checksums and seals; `forget` destroys the
 * key. From then on the fields read as {@linkcode Forgotten}, and everything still verifies.
 *
 * One vault can serve many stores, and processes. Close it after the stores that use it.
 *
 * @example A customer who is forgotten
 * ```ts
 * import { type Event, type Forgotten, InMemoryEventStore, isForgotten, Vault } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * type CustomerEvent = Event<"CustomerRegistered", { name: string | Forgotten; plan: string }>;
 *
 * const masterKey = { id: "2026", secret: crypto.getRandomValues(new Uint8Array(32)) };
 * await using vault = await Vault.inMemory({ masterKey });
 * await using store = new InMemoryEventStore<CustomerEvent>({
 *   vault,
 *   events: { CustomerRegistered: { personal: { fields: ["name"] } } }, // the actor's id is the person's
 * });
 * const registered = { eventType: "CustomerRegistered", data: { name: "Ann", plan: "basic" } } as const;
 * await store.append("customer-7", [registered], { expectedVersion: 0 });
 * assert.equal((await store.getEvents("customer-7"))[0]!.data.name, "Ann");
 *
 * const { receipts } = await vault.forget("customer-7", store, { reason: "request 4711" });
 * const { name, plan } = (await store.getEvents("customer-7"))[0]!.data;
 * assert(isForgotten(name) && plan === "basic");
 * assert.equal(receipts[0]!.data.reason, "request 4711");
 * assert((await store.verify()).ok);
 * ```
 *
 * @category Evidence
 */
export class Vault implements PersonalVault, AsyncDisposable {
  readonly #place: VaultPlace;
  readonly #namespace: string;
  readonly #master: OpenMasterKey;
  readonly #masters: ReadonlyMap<string, OpenMasterKey>;
  readonly #cacheMs: number;
  readonly #keys = new RecentMap<Cached<DataKey | ForgottenKey>>(CACHED);
  #persons = new RecentMap<Cached<DataKey>>(CACHED);
  /** Reads that are under way, by what they read. */
  readonly #reading = new Map<string, Promise<DataKey | ForgottenKey>>();

  private constructor(place: VaultPlace, options: CheckedOptions) {
    this.#place = place;
    this.#namespace = options.namespace;
    this.#master = options.master;
    this.#masters = options.masters;
    this.#cacheMs = options.cacheMs;
  }

  /** A vault in memory, for tests: when the process ends, all data are forgotten. */
  static async inMemory(options: VaultOptions): Promise<Vault> {
    return await Vault.#open(readVault(options, []), () => Promise.resolve(memoryPlace()));
  }

  /**
   * A vault in Deno KV. Use another database than that of the events, or its backups: what is in a backup is not forgotten.
   *
   * @param pathOrKv The path of a database, or an open one, which stays the caller's to close.
   * @param options The master key; `prefix` is the first part of each key, `"aether"` by default.
   * @throws {VaultError} If the master key is not the one that the vault was filled with.
   * @throws {StoreOpenError} If Deno KV is not enabled, or the database cannot be opened.
   */
  static async onDenoKv(
    pathOrKv: string | Deno.Kv | undefined,
    options: VaultOptions & { readonly prefix?: string },
  ): Promise<Vault> {
    const checked = readVault(options, ["prefix"]);
    const { prefix = DEFAULT_PREFIX } = options;
    const fault = nameFault(prefix, MAX_PERSON_BYTES);
    if (fault) throw new InvalidArgumentError("options.prefix", fault);
    return await Vault.#open(checked, () => denoKvPlace(pathOrKv, prefix));
  }

  /**
   * A vault in a key-value bucket of NATS, `aether_vault` unless it is named. The bucket keeps no history.
   *
   * @param urlOrConnection A server's URL, several of them, or a connection, which stays the caller's to close.
   * @param options The master key, which bucket, and how it is reached.
   * @throws {VaultError} If the master key is not the one that the vault was filled with.
   * @throws {BackendError} If the connection cannot be made, or the server has no JetStream.
   * @throws {ConfigurationMismatchError} If the bucket exists with settings that cannot work, such as a history.
   */
  static async onJetStream(
    urlOrConnection: string | readonly string[] | NatsConnection,
    options: VaultOptions & NamedBucketOptions,
  ): Promise<Vault> {
    const { masterKey: _1, previousMasterKeys: _2, namespace: _3, cacheMs: _4, ...bucket } = options ?? {};
    const checked = readVault(options, Object.keys(bucket));
    return await Vault.#open(checked, () => jetStreamPlace(urlOrConnection, bucket));
  }

  static async #open(options: CheckedOptions, open: () => Promise<VaultPlace>): Promise<Vault> {
    const vault = new Vault(await open(), options);
    try {
      for (const master of options.masters.values()) await vault.#checkMaster(master);
      return vault;
    } catch (error) {
      await vault.close();
      throw error;
    }
  }

  /** A vault must not be filled with a wrong key: each master key has a record that only it can decrypt. */
  async #checkMaster(master: OpenMasterKey): Promise<void> {
    const key = this.#key("master", hashOf(master.id));
    await this.#change(key, (value) => {
      if (value === undefined) {
        return master === this.#master ? master.wrap(new Uint8Array(1), "check") : undefined;
      }
      master.unwrap(value, "check");
      return undefined;
    });
  }

  #key(kind: "master" | "person" | "key" | "actor", name: string): string {
    return `${this.#namespace}.${kind}.${name}`;
  }

  /** The key of a person for data of an actor. */
  cipherFor(person: string, actorId: string): PersonalCipher | Promise<PersonalCipher> {
    const name = `${person.length} ${person} ${actorId}`;
    const cached = this.#persons.get(name);
    if (cached && cached.until > performance.now()) return cached.value;
    return this.#once(name, () => this.#cipherFor(person, actorId, name)) as Promise<DataKey>;
  }

  async #cipherFor(person: string, actorId: string, name: string): Promise<DataKey> {
    const key = await this.#keyOfPerson(person);
    await this.#link(actorId, key.keys[0]!);
    this.#persons.set(name, { value: key, until: performance.now() + this.#cacheMs });
    return key;
  }

  /** The key of a person; a new one if there is none. */
  async #keyOfPerson(person: string): Promise<DataKey> {
    const place = this.#key("person", hashOf(person));
    for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
      const record = await this.#place.get(place);
      const json = parse<PersonJson>(record.value) ?? {};
      if (json.key !== undefined) {
        const key = await this.#read(json.key);
        if (key instanceof DataKey) return key;
        continue; // it is being forgotten
      }
      const id = crypto.getRandomValues(new Uint8Array(16)).toHex();
      const key = DataKey.random(id, this.#namespace);
      const wrapped: KeyJson = { master: this.#master.id, wrapped: key.wrappedBy(this.#master) };
      await this.#change(this.#key("key", id), () => JSON.stringify(wrapped));
      if (await this.#place.put(place, JSON.stringify({ ...json, key: id }), record)) return key;
      await this.#remove(this.#key("key", id)); // another process was faster
    }
    throw busy();
  }

  /** Notes that an actor has data of a person, before they are stored. */
  async #link(actorId: string, keyId: string): Promise<void> {
    await this.#change(this.#key("actor", hashOf(actorId)), (value) => {
      const keys = parse<readonly string[]>(value) ?? [];
      if (keys.includes(keyId) || keys.length > MAX_KEYS) return undefined;
      return JSON.stringify([...keys, keyId]);
    });
  }

  /** The key with an id. */
  cipherOf(keyId: string): PersonalCipher | ForgottenKey | Promise<PersonalCipher | ForgottenKey> {
    const cached = this.#keys.get(keyId);
    if (cached && cached.until > performance.now()) return cached.value;
    return this.#once(keyId, () => this.#read(keyId));
  }

  async #read(keyId: string): Promise<DataKey | ForgottenKey> {
    const { value } = /^[0-9a-f]{32}$/.test(keyId)
      ? await this.#place.get(this.#key("key", keyId))
      : { value: undefined };
    const json = parse<KeyJson>(value);
    if (!json) throw new VaultError("unknown-key", `The vault has no key ${describe(keyId)}`);
    const isForgotten = "forgotten" in json;
    const known = this.#keys.get(keyId)?.value;
    if (known && "forgottenAt" in known) return known; // since the record was read
    const key = isForgotten ? Object.freeze({ forgottenAt: json.forgotten }) : this.#unwrap(json, keyId);
    // What was forgotten stays so.
    this.#keys.set(keyId, { value: key, until: isForgotten ? Infinity : performance.now() + this.#cacheMs });
    return key;
  }

  #unwrap({ master, wrapped }: Extract<KeyJson, { wrapped: string }>, keyId: string): DataKey {
    const known = this.#masters.get(master);
    if (known) return known.unwrap(wrapped, keyId);
    throw new VaultError(
      "master-key",
      `A key is encrypted with the master key "${master}", which the vault does not have`,
    );
  }

  /** What snapshots of an actor are encrypted with. */
  async snapshotCipherFor(actorId: string): Promise<PersonalCipher | "refused" | undefined> {
    const { value } = await this.#place.get(this.#key("actor", hashOf(actorId)));
    const keys = parse<readonly string[]>(value);
    if (!keys) return undefined;
    return keys.length > MAX_KEYS ? "refused" : await this.snapshotCipherOf(keys) ?? "refused";
  }

  /** The same for a snapshot that was stored. */
  async snapshotCipherOf(keyIds: readonly string[]): Promise<PersonalCipher | undefined> {
    const keys = await Promise.all(keyIds.map((keyId) => this.cipherOf(keyId)));
    const known = keys.filter((key) => key instanceof DataKey);
    return known.length < keys.length ? undefined : DataKey.combined(known, this.#namespace);
  }

  /**
   * Destroys the key of a person. The fields that were encrypted with it read as {@linkcode Forgotten}: at once through this
   * vault, and through other processes' when their `cacheMs` is over. If it is interrupted, run it again.
   *
   * What it cannot reach: read models, projections and files that were made of decrypted events, and backups of the vault.
   *
   * @param person The id of the person, as in the events.
   * @param store Where the receipts are stored, each as the only event of an actor `forgotten-<key>`.
   * @param options The reason, and abort.
   * @throws {InvalidArgumentError} If the person's id cannot be one.
   * @throws {OutcomeUnknownError | BackendError} If the vault or the store could not be reached. Run it again.
   *
   * @example The receipts of all erasures
   * ```ts
   * import { InMemoryEventStore, Vault } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using vault = await Vault.inMemory({
   *   masterKey: { id: "2026", secret: crypto.getRandomValues(new Uint8Array(32)) },
   * });
   * const events = { Registered: { personal: { fields: ["name"] } } };
   * await using store = new InMemoryEventStore({ vault, events });
   * await store.append("ann", [{ eventType: "Registered", data: { name: "Ann" } }], { expectedVersion: 0 });
   * await vault.forget("ann", store);
   * const receipts = await Array.fromAsync(store.readAll({ eventTypes: ["PersonForgotten"] }));
   * assert.equal(receipts.length, 1);
   * ```
   */
  async forget<E extends Event>(
    person: string,
    store: EventStore<E>,
    options?: ForgetOptions,
  ): Promise<ForgetReport> {
    const { reason, signal } = readOptions(options, checkForget);
    const fault = nameFault(person, MAX_PERSON_BYTES);
    if (fault) throw new InvalidArgumentError("person", fault);
    signal?.throwIfAborted();
    const place = this.#key("person", hashOf(person));
    // From here on, new data of the person get another key.
    await this.#change(place, (value) => {
      const { key, forgetting = [] } = parse<PersonJson>(value) ?? {};
      return key === undefined ? undefined : JSON.stringify({ forgetting: [...forgetting, key] });
    });
    const { value } = await this.#place.get(place);
    const keys = parse<PersonJson>(value)?.forgetting ?? [];
    const receipts: StoredEvent<PersonForgotten>[] = [];
    for (const key of keys) {
      signal?.throwIfAborted();
      const forgottenAt = await this.#destroy(key);
      const data = { key, forgottenAt, ...(reason !== undefined && { reason }) };
      receipts.push(await storeReceipt(untyped(store), data));
    }
    await this.#finish(place, keys);
    return { receipts };
  }

  /** Destroys a key; returns when that was. */
  async #destroy(keyId: string): Promise<string> {
    const now = new Date().toISOString();
    let forgottenAt = now;
    await this.#change(this.#key("key", keyId), (value) => {
      const json = parse<KeyJson>(value);
      if (!json || !("forgotten" in json)) return JSON.stringify({ forgotten: now });
      forgottenAt = json.forgotten;
      return undefined;
    });
    this.#keys.set(keyId, { value: Object.freeze({ forgottenAt }), until: Infinity });
    this.#persons = new RecentMap(CACHED);
    return forgottenAt;
  }

  /** Removes what is known of a person, now that the receipts are stored. */
  async #finish(place: string, forgotten: readonly string[]): Promise<void> {
    for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
      const record = await this.#place.get(place);
      const json = parse<PersonJson>(record.value);
      if (!json?.forgetting) return;
      const forgetting = json.forgetting.filter((key) => !forgotten.includes(key));
      const rest = {
        ...(json.key !== undefined && { key: json.key }),
        ...(forgetting.length > 0 && { forgetting }),
      };
      const isDone = Object.keys(rest).length === 0
        ? await this.#place.remove(place, record)
        : await this.#place.put(place, JSON.stringify(rest), record);
      if (isDone) return;
    }
    throw busy();
  }

  /**
   * Encrypts all keys with the present master key. Afterwards those before it are needed no more. If it is interrupted, run it
   * again; stores may be used meanwhile.
   *
   * @returns How many keys were encrypted again.
   * @throws {VaultError} If a key is encrypted with a master key that the vault does not have.
   *
   * @example A new master key
   * ```ts
   * import { Vault } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * const key = (id: string) => ({ id, secret: crypto.getRandomValues(new Uint8Array(32)) });
   * const [old, masterKey] = [key("2025"), key("2026")];
   * await using vault = await Vault.inMemory({ masterKey, previousMasterKeys: [old] });
   * assert.equal(await vault.rotate(), 0); // nothing was encrypted with the old one
   * ```
   */
  async rotate(options?: { readonly signal?: AbortSignal }): Promise<number> {
    const signal = checkSignal(options?.signal);
    let rotated = 0;
    for (const place of await this.#place.list(`${this.#namespace}.key`)) {
      signal?.throwIfAborted();
      const keyId = place.slice(place.lastIndexOf(".") + 1);
      let isRotated = false;
      await this.#change(place, (value) => {
        const json = parse<KeyJson>(value);
        isRotated = json !== undefined && "wrapped" in json && json.master !== this.#master.id;
        if (!isRotated) return undefined;
        const key = this.#unwrap(json as Extract<KeyJson, { wrapped: string }>, keyId);
        return JSON.stringify({ master: this.#master.id, wrapped: key.wrappedBy(this.#master) });
      });
      if (isRotated) rotated++;
    }
    return rotated;
  }

  /** Closes what was opened for the vault. */
  async close(): Promise<void> {
    await this.#place.close();
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Changes a record by compare-and-set; nothing if the new value is `undefined`. */
  async #change(key: string, replace: (value: string | undefined) => string | undefined): Promise<void> {
    for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
      const record: VaultRecord = await this.#place.get(key);
      const value = replace(record.value);
      if (value === undefined || await this.#place.put(key, value, record)) return;
    }
    throw busy();
  }

  async #remove(key: string): Promise<void> {
    await this.#place.remove(key, await this.#place.get(key));
  }

  /** Reads each thing once at a time. */
  #once(
    name: string,
    read: () => Promise<DataKey | ForgottenKey>,
  ): Promise<DataKey | ForgottenKey> {
    let reading = this.#reading.get(name);
    if (!reading) {
      reading = read().finally(() => this.#reading.delete(name));
      this.#reading.set(name, reading);
    }
    return reading;
  }
}

/** Stores a receipt, once. */
async function storeReceipt(
  store: EventStore,
  data: PersonForgotten["data"],
): Promise<StoredEvent<PersonForgotten>> {
  const actorId = `forgotten-${data.key}`;
  const event = { id: actorId, eventType: "PersonForgotten", data };
  try {
    const [stored] = await store.append(actorId, [event], { expectedVersion: 0 });
    return stored as StoredEvent<PersonForgotten>;
  } catch (error) {
    // An earlier run has stored it, perhaps with another reason.
    if (!(error instanceof VersionConflictError)) throw error;
    const [stored] = await store.getEvents(actorId);
    if (stored?.eventType !== "PersonForgotten") throw error;
    return stored as StoredEvent<PersonForgotten>;
  }
}

/** The options of a vault as they were read. */
interface CheckedOptions {
  readonly master: OpenMasterKey;
  readonly masters: ReadonlyMap<string, OpenMasterKey>;
  readonly namespace: string;
  readonly cacheMs: number;
}

/** @param others The names of options that are checked elsewhere. */
function readVault(options: VaultOptions, others: readonly string[]): CheckedOptions {
  return readOptions(options, ({ ...given }) => {
    const own = Object.fromEntries(Object.entries(given).filter(([name]) => !others.includes(name)));
    checkKnown<VaultOptions>(own as unknown as VaultOptions, OPTIONS);
    const { masterKey, previousMasterKeys = [], namespace = "default", cacheMs = DEFAULT_CACHE_MS } = given;
    validateUserNamespace(namespace);
    if (typeof cacheMs !== "number" || !(cacheMs >= 0)) {
      throw new InvalidArgumentError(
        "options.cacheMs",
        `must be a number of at least 0, and is ${describe(cacheMs)}`,
      );
    }
    if (!Array.isArray(previousMasterKeys)) {
      throw new InvalidArgumentError("options.previousMasterKeys", "must be a list of master keys");
    }
    const master = new OpenMasterKey("options.masterKey", masterKey, namespace);
    const previous = (previousMasterKeys as readonly MasterKey[]).map((key, index) =>
      new OpenMasterKey(`options.previousMasterKeys[${index}]`, key, namespace)
    );
    const masters = new Map([...previous, master].map((key) => [key.id, key]));
    if (masters.size <= previous.length) {
      throw new InvalidArgumentError("options.previousMasterKeys", "has the id of another master key");
    }
    return { master, masters, namespace, cacheMs };
  });
}

/** Returns the options as they were read. */
function checkForget({ ...options }: ForgetOptions): ForgetOptions {
  checkKnown<ForgetOptions>(options, FORGET);
  checkSignal(options.signal);
  const fault = options.reason === undefined ? undefined : nameFault(options.reason, MAX_REASON_BYTES);
  if (fault) throw new InvalidArgumentError("options.reason", fault);
  return options;
}

function parse<T>(value: string | undefined): T | undefined {
  return value === undefined ? undefined : JSON.parse(value) as T;
}

function busy(): BackendError {
  return new BackendError("vault", "other writers came first for too long: try again");
}
