/**
 * Personal data on their way into a backend and out of it: encrypted in what is stored, and decrypted in what is handed out.
 *
 * The stored data of an event keep their shape. A personal field is `null`, and `$personal` lists for each the name, the id of
 * the key and the encrypted value: `{"name":null,"total":5,"$personal":[["name","<key>","<base64>"]]}`. Copies, exports, checksums
 * and seals work on this form.
 *
 * @module
 */

import { Draft, type DraftEvent } from "../event/draft.ts";
import { InvalidEventError } from "../event/errors.ts";
import { noteForgotten } from "../event/forgotten.ts";
import { freezeJson } from "../event/json.ts";
import { fieldOf, type FieldPath, type PersonalFields, withField } from "../event/personal_fields.ts";
import { noteSchemaVersion, schemaVersionOf } from "../event/registry.ts";
import { handled } from "../event/upcast.ts";
import type { StoredEvent } from "../event/types.ts";
import { nameFault } from "../text.ts";
import { VaultError } from "./personal_errors.ts";
import type { ForgottenKey, PersonalCipher, PersonalVault } from "./personal_vault.ts";

/** The property of stored data that lists what is encrypted. */
export const PERSONAL = "$personal";

/** The most UTF-8 bytes of a person's id. */
const MAX_PERSON_BYTES = 512;
/** What an encrypted field adds to an event, except its name and value: the id of the key, quotes, `$personal`. */
const FIELD_BYTES = 128;

/** The name of a field, the id of the key, and the encrypted value. */
type SealedField = readonly [field: string, keyId: string, sealed: string];

/** A field that is to be encrypted. */
interface OpenField {
  readonly path: FieldPath;
  readonly value: unknown;
  readonly cipher: PersonalCipher | Promise<PersonalCipher>;
}

/** Encrypts and decrypts the data of events. */
export class PersonalCodec {
  readonly #vault: PersonalVault;
  readonly #types: ReadonlyMap<string, readonly PersonalFields[]>;

  constructor(vault: PersonalVault, types: ReadonlyMap<string, readonly PersonalFields[]>) {
    this.#vault = vault;
    this.#types = types;
  }

  /**
   * Whether an event has fields that must be encrypted.
   *
   * @throws {InvalidEventError} If its data look like what is stored.
   */
  isPersonal({ event }: Draft): boolean {
    const { data, actorId, eventType } = event;
    if (isSealed(data)) {
      const message =
        `is a name that the store uses itself. To carry stored events to another store, use copyEvents`;
      throw new InvalidEventError(`data.${PERSONAL}`, message, { actorId });
    }
    return this.#types.has(eventType);
  }

  /**
   * The draft of what is stored in place of an event; a promise if a key is not in memory.
   *
   * @param version The version that the event gets.
   * @throws {InvalidEventError} If the person has no id that can be used.
   * @throws {VaultError} If the vault cannot give the key.
   */
  seal(draft: Draft, version: number): Draft | Promise<Draft> {
    const { event } = draft;
    const types = this.#types.get(event.eventType);
    if (!types) return draft;
    const open: OpenField[] = [];
    let waits = false;
    for (const { fields, person } of types) {
      let cipher: OpenField["cipher"] | undefined;
      for (const path of fields) {
        const value = fieldOf(event.data, path, event);
        if (value === undefined) continue;
        cipher ??= this.#vault.cipherFor(personOf(event, person), event.actorId);
        if (cipher instanceof Promise) waits = Boolean(handled(cipher));
        open.push({ path, value, cipher });
      }
    }
    return waits ? handled(sealedLater(draft, version, open)) : sealed(draft, version, open);
  }

  /** An event as it is handed out; a promise if a key is not in memory. The event itself if nothing is encrypted. */
  open(event: StoredEvent): StoredEvent | Promise<StoredEvent> {
    const { data } = event;
    if (!isSealed(data)) return event;
    const list = data[PERSONAL];
    if (!isSealedList(list)) throw changed(event, "the list of its personal data");
    const keys = list.map(([, keyId]) => this.#vault.cipherOf(keyId));
    return keys.some((key) => key instanceof Promise)
      ? Promise.all(keys).then((known) => opened(event, list, known))
      : opened(event, list, keys as (PersonalCipher | ForgottenKey)[]);
  }
}

async function sealedLater(draft: Draft, version: number, open: readonly OpenField[]): Promise<Draft> {
  const ready = open.map(async (field) => ({ ...field, cipher: await field.cipher }));
  return sealed(draft, version, await Promise.all(ready));
}

/** Encrypts fields. */
function sealed(draft: Draft, version: number, open: readonly OpenField[]): Draft {
  const { event } = draft;
  if (open.length === 0) return draft;
  let data: unknown = event.data;
  let { most } = draft;
  const list: SealedField[] = [];
  for (const { path, value, cipher } of open) {
    const { keys: [keyId] } = cipher as PersonalCipher;
    const name = path.join(".");
    data = withField(data, path, null);
    const text = (cipher as PersonalCipher).encrypt(
      JSON.stringify(value),
      placeOf(event.actorId, version, name),
    );
    most += text.length + name.length * 6 + FIELD_BYTES;
    list.push(Object.freeze([name, keyId!, text] as const));
  }
  const stored = Object.freeze({ ...data as object, [PERSONAL]: Object.freeze(list) });
  return withData(draft, stored, most);
}

/** Decrypts the fields of an event. */
function opened(
  event: StoredEvent,
  list: readonly SealedField[],
  keys: readonly (PersonalCipher | ForgottenKey)[],
): StoredEvent {
  const { [PERSONAL]: _, ...rest } = event.data as Record<string, unknown>;
  let data: unknown = rest;
  let isForgotten = false;
  for (const [index, [name, , sealed]] of list.entries()) {
    const key = keys[index]!;
    let value: unknown;
    if ("forgottenAt" in key) {
      isForgotten = true;
      value = Object.freeze({ $forgotten: key.forgottenAt });
    } else {
      const text = key.decrypt(sealed, placeOf(event.actorId, event.version, name));
      if (text === undefined) throw changed(event, `"${name}"`);
      value = freezeJson(JSON.parse(text));
    }
    try {
      data = withField(data, name.split("."), value);
    } catch {
      throw changed(event, `"${name}"`);
    }
  }
  const open = Object.freeze({ ...event, data });
  noteSchemaVersion(open, schemaVersionOf(event));
  if (isForgotten) noteForgotten(open);
  return open;
}

/** What an encrypted field belongs to. */
function placeOf(actorId: string, version: number, field: string): string {
  return JSON.stringify([actorId, version, field]);
}

function personOf({ data, actorId }: DraftEvent, path: FieldPath | undefined): string {
  if (!path) return actorId;
  const person = fieldOf(data, path, { actorId });
  const fault = nameFault(person, MAX_PERSON_BYTES);
  if (fault === undefined) return person as string;
  throw new InvalidEventError(`data.${path.join(".")}`, `names the person, and ${fault}`, { actorId });
}

/** The same draft with other data. The draft that it is made of is not changed: its event is handed out. */
function withData(
  { event, givenVersion, givenId, schemaVersion }: Draft,
  data: unknown,
  most: number,
): Draft {
  const { id, eventType, actorId, version, timestamp, metadata } = event;
  const copy: DraftEvent = { id, eventType, actorId, version, data, timestamp, position: "" };
  return new Draft(metadata ? { ...copy, metadata } : copy, givenVersion, givenId, schemaVersion, most);
}

function isSealed(data: unknown): data is Readonly<Record<typeof PERSONAL, unknown>> {
  return typeof data === "object" && data !== null && PERSONAL in data;
}

function isSealedList(list: unknown): list is readonly SealedField[] {
  return Array.isArray(list) &&
    list.every((field) =>
      Array.isArray(field) && field.length === 3 && field.every((part) => typeof part === "string")
    );
}

function changed({ actorId, version }: StoredEvent, what: string): VaultError {
  return new VaultError(
    "changed",
    `Event ${version} of actor ${JSON.stringify(actorId)}: ${what} cannot be decrypted`,
  );
}
