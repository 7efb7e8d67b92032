/**
 * The keys of a vault: master keys, which encrypt the keys of persons, which encrypt data. All with AES-256-GCM.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { VaultError } from "../store/personal_errors.ts";
import type { PersonalCipher } from "../store/personal_vault.ts";
import { describe, nameFault } from "../text.ts";
import { Cipher } from "./cipher.ts";
import { nodeCrypto } from "./crypto.ts";

/**
 * A key that encrypts the keys of persons. Keep it apart from the vault: in the environment, or in a secret manager.
 *
 * @category Evidence
 */
export interface MasterKey {
  /** Names it, such as `2026`: each record of the vault has the name of its master key. 1 to 64 UTF-8 bytes. */
  readonly id: string;
  /** 32 random bytes, or their base64. */
  readonly secret: Uint8Array | string;
}

const KEY_BYTES = 32;
const MAX_ID_BYTES = 64;
/** In place of the id of a key. */
const CHECK = "check";

/** The key of a person, encrypted. */
export interface WrappedKey {
  /** The id of the master key. */
  readonly master: string;
  /** The key, encrypted. */
  readonly wrapped: string;
}

/** The key of a person, or of several together. */
export class DataKey implements PersonalCipher {
  readonly keys: readonly string[];
  readonly #secret: Uint8Array;
  readonly #cipher: Cipher;
  /** What every place begins with. A namespace has no spaces. */
  readonly #space: string;

  constructor(keys: readonly string[], secret: Uint8Array, namespace: string) {
    this.keys = keys;
    this.#secret = secret;
    this.#cipher = new Cipher(secret);
    this.#space = `aether/1 ${namespace} `;
  }

  /** A new key. */
  static random(id: string, namespace: string): DataKey {
    return new DataKey([id], crypto.getRandomValues(new Uint8Array(KEY_BYTES)), namespace);
  }

  /** A key that only those have who have all of some keys. */
  static combined(keys: readonly DataKey[], namespace: string): DataKey {
    const sorted = [...keys].sort((a, b) => a.keys[0]! < b.keys[0]! ? -1 : 1);
    const hash = nodeCrypto().createHash("sha256").update("aether snapshot\n");
    for (const key of sorted) hash.update(key.#secret);
    return new DataKey(sorted.map(({ keys }) => keys[0]!), hash.digest(), namespace);
  }

  encrypt(text: string, place: string): string {
    return this.#cipher.seal(text, this.#space + place);
  }

  decrypt(sealed: string, place: string): string | undefined {
    return this.#cipher.open(sealed, this.#space + place);
  }

  /** The key itself, encrypted with a master key. */
  wrappedBy(master: OpenMasterKey): WrappedKey {
    return { master: master.id, wrapped: master.wrap(this.#secret, this.keys[0]!) };
  }
}

/** A master key that was read. */
export class OpenMasterKey {
  readonly id: string;
  readonly #cipher: Cipher;
  readonly #namespace: string;

  /**
   * Reads a master key.
   *
   * @throws {InvalidArgumentError} If it is none. The secret is not repeated.
   */
  constructor(argument: string, key: MasterKey, namespace: string) {
    const { id, secret } = (key ?? {}) as Partial<MasterKey>;
    const fault = nameFault(id, MAX_ID_BYTES);
    if (fault) throw new InvalidArgumentError(`${argument}.id`, fault);
    const bytes = typeof secret === "string" ? fromBase64(secret) : secret;
    if (!(bytes instanceof Uint8Array) || bytes.length !== KEY_BYTES) {
      const found = bytes instanceof Uint8Array ? `${bytes.length} bytes` : describe(typeof secret);
      throw new InvalidArgumentError(
        `${argument}.secret`,
        `must be ${KEY_BYTES} random bytes, or their base64, and is ${found}`,
      );
    }
    this.id = id!;
    this.#cipher = new Cipher(bytes.slice());
    this.#namespace = namespace;
  }

  /** Encrypts the secret of a key. */
  wrap(secret: Uint8Array, keyId: string): string {
    return this.#cipher.seal(secret.toBase64(), this.#place(keyId));
  }

  /**
   * Decrypts a key.
   *
   * @throws {VaultError} If it was encrypted with another master key of the same name.
   */
  unwrap(wrapped: string, keyId: string): DataKey {
    const secret = this.#cipher.open(wrapped, this.#place(keyId));
    if (secret !== undefined) return new DataKey([keyId], Uint8Array.fromBase64(secret), this.#namespace);
    throw new VaultError(
      "master-key",
      `The master key "${this.id}" is not the one that the vault was filled with`,
    );
  }

  /** What shows later that a key is this one. */
  check(): string {
    return this.wrap(new Uint8Array(KEY_BYTES), CHECK);
  }

  /**
   * Checks that `check` of this key has made a text.
   *
   * @throws {VaultError} If it was another key of the same name.
   */
  assertChecks(text: string): void {
    this.unwrap(text, CHECK);
  }

  #place(keyId: string): string {
    return JSON.stringify(["aether/1 key", this.#namespace, this.id, keyId]);
  }
}

function fromBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.fromBase64(text.trim());
  } catch {
    return undefined;
  }
}

/** The hash that stands for a name in the keys of records: the vault keeps no name of a person. */
export function hashOf(name: string): string {
  return nodeCrypto().createHash("sha256").update(JSON.stringify([name])).digest("hex");
}
