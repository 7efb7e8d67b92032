/**
 * The keys of persons: made, kept encrypted, and destroyed when a person is to be forgotten.
 *
 * @module
 */

import type { NamedBucketOptions } from "../cluster/jetstream/open.ts";
import { InvalidArgumentError } from "../errors.ts";
import type { Event } from "../event/types.ts";
import type { NatsConnection } from "../nats/connection.ts";
import { checkKnown, checkSignal, readOptions } from "../options.ts";
import { VaultError } from "../store/personal_errors.ts";
import type { ForgottenKey, PersonalCipher, PersonalVault } from "../store/personal_vault.ts";
import type { EventStore } from "../store/types.ts";
import { nameFault } from "../text.ts";
import {
  checkForget,
  checkPerson,
  type ForgetOptions,
  forgetPerson,
  type ForgetReport,
} from "./forgetting.ts";
import { KeyRing, type KeyRingOptions } from "./vault_key_ring.ts";
import { DataKey, type OpenMasterKey, type WrappedKey } from "./vault_keys.ts";
import { readVault, type VaultOptions } from "./vault_options.ts";
import { denoKvPlace, jetStreamPlace, memoryPlace, type VaultPlace } from "./vault_place.ts";
import { VaultRecords } from "./vault_records.ts";

const DEFAULT_PREFIX = "aether";
const MAX_PREFIX_BYTES = 512;

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
  readonly #records: VaultRecords;
  readonly #options: KeyRingOptions;
  readonly #keys: KeyRing;
  /** The record of the master key: another vault has another one. */
  #mark: string | undefined;

  private constructor(place: VaultPlace, options: KeyRingOptions) {
    this.#records = new VaultRecords(place, options.namespace);
    this.#options = options;
    this.#keys = new KeyRing(this.#records, options);
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
    const fault = nameFault(prefix, MAX_PREFIX_BYTES);
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

  static async #open(options: KeyRingOptions, open: () => Promise<VaultPlace>): Promise<Vault> {
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
    const isPresent = master === this.#options.master;
    let made: string | undefined;
    const found = await this.#records.change("master", master.id, (value) => {
      if (value === undefined) return made = isPresent ? master.check() : undefined;
      master.assertChecks(value);
      return undefined;
    });
    if (isPresent) this.#mark = found ?? made;
  }

  /** In another vault there is nothing to forget: that must not be taken for success. */
  async #assertSame(signal: AbortSignal | undefined): Promise<void> {
    const found = await this.#records.read("master", this.#options.master.id, signal);
    if (found === this.#mark) return;
    throw new VaultError("replaced", "The records of the vault are not those that it was opened with");
  }

  /** The key of a person for data of an actor. */
  cipherFor(person: string, actorId: string): PersonalCipher | Promise<PersonalCipher> {
    return this.#keys.ofPerson(person, actorId);
  }

  /** The key with an id. */
  cipherOf(keyId: string): PersonalCipher | ForgottenKey | Promise<PersonalCipher | ForgottenKey> {
    return this.#keys.ofId(keyId);
  }

  /** What snapshots of an actor are encrypted with. */
  async snapshotCipherFor(actorId: string): Promise<PersonalCipher | "refused" | undefined> {
    const keys = await this.#keys.ofActor(actorId);
    if (keys === undefined) return undefined;
    return keys === "too-many" ? "refused" : await this.snapshotCipherOf(keys) ?? "refused";
  }

  /** The same for a snapshot that was stored. */
  async snapshotCipherOf(keyIds: readonly string[]): Promise<PersonalCipher | undefined> {
    const keys = await Promise.all(keyIds.map((keyId) => this.#keys.ofId(keyId)));
    const known = keys.filter((key) => key instanceof DataKey);
    return known.length < keys.length ? undefined : DataKey.combined(known, this.#options.namespace);
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
   * @throws {VaultError} If the vault was removed or made again since it was opened.
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
    const checked = readOptions(options, checkForget);
    checkPerson(person);
    await this.#assertSame(checked.signal);
    return await forgetPerson(this.#records, this.#keys, person, store, checked);
  }

  /**
   * Encrypts all keys with the present master key. Afterwards those before it are needed no more. If it is interrupted, run it
   * again; stores may be used meanwhile.
   *
   * @returns How many keys were encrypted again.
   * @throws {VaultError} If a key is encrypted with a master key that the vault does not have, or the vault was removed or made
   * again since it was opened.
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
    const signal = readOptions(options, checkRotate);
    await this.#assertSame(signal);
    let rotated = 0;
    const { master } = this.#options;
    for (const keyId of await this.#records.listKeys(signal)) {
      let isRotated = false;
      await this.#records.change("key", keyId, (record) => {
        isRotated = record !== undefined && "wrapped" in record && record.master !== master.id;
        return isRotated ? this.#keys.unwrap(record as WrappedKey, keyId).wrappedBy(master) : undefined;
      }, signal);
      if (isRotated) rotated++;
    }
    return rotated;
  }

  /** Closes what was opened for the vault. */
  async close(): Promise<void> {
    await this.#records.close();
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function checkRotate({ ...options }: { readonly signal?: AbortSignal }): AbortSignal | undefined {
  checkKnown(options, { signal: true });
  return checkSignal(options.signal);
}
