/**
 * Stores that break what is promised of personal data, each in one way: what the conformance suite must find.
 *
 * @module
 */

import type { StoredEvent } from "../../src/event/types.ts";
import { InMemoryEventStore } from "../../src/store/memory/mod.ts";
import type { ForgottenKey, PersonalCipher, PersonalVault } from "../../src/store/personal_vault.ts";
import type { EventStoreOptions } from "../../src/store/store_options.ts";
import type { ReadAllOptions } from "../../src/store/types.ts";
import { type BrokenStore, opens } from "./broken_stores.ts";

type Key = PersonalCipher | ForgottenKey;

const READS = "personal fields are read as they were saved, by every way to read";
const STORED = "what is stored has no personal value, and everything else as it was given";
const FORGOTTEN =
  "when a person is forgotten, every read hands out Forgotten for its fields, and the rest as before";
const ALONE = "an event with data of two persons: each is forgotten alone";
const SNAPSHOT =
  "a snapshot of an actor with personal data is stored encrypted, and gone when a person is forgotten";
const DOWN = "a vault that cannot be reached fails what needs it, stores nothing, and loses nothing";

/** The options of a store whose vault is another one. */
function withVault<O extends EventStoreOptions>(
  options: O,
  change: (vault: PersonalVault) => Partial<PersonalVault>,
): O {
  const { vault } = options;
  if (!vault) return options;
  const same: PersonalVault = {
    cipherFor: (person, actorId) => vault.cipherFor(person, actorId),
    cipherOf: (keyId) => vault.cipherOf(keyId),
    snapshotCipherFor: (actorId) => vault.snapshotCipherFor(actorId),
    snapshotCipherOf: (keyIds) => vault.snapshotCipherOf(keyIds),
  };
  return { ...options, vault: { ...same, ...change(vault) } };
}

/** The definitions with other personal fields. */
function withFields<O extends EventStoreOptions>(
  options: O,
  change: (fields: readonly string[]) => readonly string[],
): O {
  const events = Object.entries(options.events ?? {}).map(([eventType, definition]) => {
    const personal = [definition?.personal ?? []].flat().flatMap(({ fields, ...person }) => {
      const changed = change(fields);
      return changed.length === 0 ? [] : [{ ...person, fields: changed }];
    });
    return [eventType, { ...definition, personal }];
  });
  return { ...options, events: Object.fromEntries(events) };
}

/** A cipher that encrypts nothing. */
function open(cipher: PersonalCipher): PersonalCipher {
  return { keys: cipher.keys, encrypt: (text) => text, decrypt: (text) => text };
}

/** Stores that break the promises of personal data. */
export const brokenPersonalStores: readonly BrokenStore[] = [
  {
    defect: "stores personal fields as they are",
    harness: opens((options) => new InMemoryEventStore(withFields(options, () => []))),
    caughtBy: [STORED, FORGOTTEN, ALONE],
  },
  {
    defect: "leaves nested fields as they are",
    harness: opens((options) =>
      new InMemoryEventStore(withFields(options, (fields) => fields.filter((name) => !name.includes("."))))
    ),
    caughtBy: [STORED, FORGOTTEN],
  },
  {
    defect: "encrypts nothing, though it needs the key",
    harness: opens((options) =>
      new InMemoryEventStore(withVault(options, (vault) => ({
        cipherFor: async (person, actorId) => open(await vault.cipherFor(person, actorId)),
        cipherOf: async (keyId) => {
          const key = await vault.cipherOf(keyId);
          return "forgottenAt" in key ? key : open(key);
        },
      })))
    ),
    caughtBy: [STORED],
  },
  {
    defect: "reads the log as it is stored",
    harness: opens((options) => {
      const { vault: _, events: __, ...plain } = options;
      const raw = new InMemoryEventStore(plain);
      return new class extends InMemoryEventStore {
        override readAll(read: ReadAllOptions = {}): AsyncIterable<never> {
          return raw.readAll(read) as AsyncIterable<never>;
        }
      }(options);
    }),
    caughtBy: [READS, FORGOTTEN, DOWN],
  },
  {
    defect: "keeps the keys that it has used",
    harness: opens((options) => {
      const kept = new Map<string, Key>();
      return new InMemoryEventStore(withVault(options, (vault) => ({
        cipherOf: async (keyId) => {
          const key = kept.get(keyId) ?? await vault.cipherOf(keyId);
          kept.set(keyId, key);
          return key;
        },
      })));
    }),
    caughtBy: [FORGOTTEN, ALONE],
  },
  {
    defect: "keeps decrypted events",
    harness: opens((options) => {
      const kept = new Map<string, StoredEvent[]>();
      return new class extends InMemoryEventStore {
        override async getEvents(actorId: string, fromVersion?: number): Promise<StoredEvent[]> {
          const events = await super.getEvents(actorId, fromVersion);
          const known = kept.get(actorId);
          if (known?.length === events.length) return known;
          kept.set(actorId, events);
          return events;
        }
      }(options);
    }),
    caughtBy: [FORGOTTEN, ALONE],
  },
  {
    defect: "throws if a person was forgotten",
    harness: opens((options) =>
      new InMemoryEventStore(withVault(options, (vault) => ({
        cipherOf: async (keyId) => {
          const key = await vault.cipherOf(keyId);
          if ("forgottenAt" in key) throw new Error("forgotten");
          return key;
        },
      })))
    ),
    caughtBy: [FORGOTTEN, ALONE],
  },
  {
    defect: "takes the same key for every person",
    harness: opens((options) =>
      new InMemoryEventStore(
        withVault(options, (vault) => ({ cipherFor: (_, actorId) => vault.cipherFor("ann", actorId) })),
      )
    ),
    caughtBy: [FORGOTTEN, ALONE],
  },
  {
    defect: "stores data as they are while the vault cannot be reached",
    harness: opens((options) =>
      new InMemoryEventStore(withVault(options, (vault) => ({
        cipherFor: async (person, actorId) => {
          try {
            return await vault.cipherFor(person, actorId);
          } catch {
            return { keys: ["none"], encrypt: (text: string) => text, decrypt: (text: string) => text };
          }
        },
      })))
    ),
    caughtBy: [DOWN],
  },
  {
    defect: "reads data as forgotten while the vault cannot be reached",
    harness: opens((options) =>
      new InMemoryEventStore(withVault(options, (vault) => ({
        cipherOf: async (keyId) => {
          try {
            return await vault.cipherOf(keyId);
          } catch {
            return { forgottenAt: new Date().toISOString() };
          }
        },
      })))
    ),
    caughtBy: [DOWN],
  },
  {
    defect: "stores snapshots of personal data as they are",
    harness: opens((options) =>
      new InMemoryEventStore(
        withVault(options, () => ({ snapshotCipherFor: () => Promise.resolve(undefined) })),
      )
    ),
    caughtBy: [SNAPSHOT],
  },
  {
    defect: "stores a snapshot from before an erasure",
    harness: opens((options) =>
      new InMemoryEventStore(withVault(options, (vault) => ({
        snapshotCipherFor: async (actorId) => {
          const cipher = await vault.snapshotCipherFor(actorId);
          return cipher === "refused" ? undefined : cipher;
        },
      })))
    ),
    caughtBy: [SNAPSHOT],
  },
];
