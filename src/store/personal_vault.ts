/**
 * What a store needs of a vault: the keys of persons.
 *
 * @module
 */

/** Encrypts with the key of a person, or with the keys of several. */
export interface PersonalCipher {
  /** The ids of the keys. */
  readonly keys: readonly string[];
  /**
   * Encrypts a text.
   *
   * @param place What the result belongs to: it cannot be decrypted as that of another place.
   */
  encrypt(text: string, place: string): string;
  /** Decrypts what `encrypt` returned; `undefined` if it was changed, or is of another place. */
  decrypt(sealed: string, place: string): string | undefined;
}

/** A person was forgotten. */
export interface ForgottenKey {
  /** When, as UTC with milliseconds. */
  readonly forgottenAt: string;
}

/**
 * The keys of persons, which a store encrypts and decrypts with. A {@linkcode Vault} is one.
 *
 * @category Evidence
 */
export interface PersonalVault {
  /** The key of a person for data of an actor, which is made if there is none. A promise if it is not in memory. */
  cipherFor(person: string, actorId: string): PersonalCipher | Promise<PersonalCipher>;
  /** The key with an id. A promise if it is not in memory. */
  cipherOf(keyId: string): PersonalCipher | ForgottenKey | Promise<PersonalCipher | ForgottenKey>;
  /**
   * What snapshots of an actor are encrypted with: the keys of all persons that it has data of. `undefined` if there are none;
   * `"refused"` if one of them was forgotten, because a state may be older than that.
   */
  snapshotCipherFor(actorId: string): Promise<PersonalCipher | "refused" | undefined>;
  /** The same for a snapshot that was stored, by its keys; `undefined` if one of the persons was forgotten. */
  snapshotCipherOf(keyIds: readonly string[]): Promise<PersonalCipher | undefined>;
}
