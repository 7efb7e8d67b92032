/**
 * Personal data on their way into a backend and out of it: encrypted in what is stored, and decrypted in what is handed out.
 *
 * The stored data of an event keep their shape. A personal field is `null`, and `$personal` lists for each person the id of the
 * key, the encrypted values and the names of their fields: `{"name":null,"total":5,"$personal":[["<key>","<base64>","name"]]}`.
 * Copies, exports, checksums and seals work on this form.
 *
 * @module
 */

import { Draft, type DraftEvent } from "../event/draft.ts";
import { InvalidEventError } from "../event/errors.ts";
import { noteForgotten } from "../event/forgotten.ts";
import { freezeJson } from "../event/json.ts";
import { fieldOf, type FieldPath, type PersonalFields, replaceField } from "../event/personal_fields.ts";
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
/** What the encrypted values of a person add to an event, except these and the names: the id of the key, `$personal`. */
const SEALED_BYTES = 128;
/** What the name of a field adds, for each code unit and in all. */
const NAME_BYTES = 6;

/** What is encrypted of one person, all of it together: the id of the key, the values, and the names of their fields. */
type SealedFields = readonly [keyId: string, sealed: string, ...fields: string[]];

/** The fields of one person that are to be encrypted. */
interface OpenFields {
  readonly fields: readonly FieldPath[];
  readonly names: readonly string[];
  readonly values: readonly unknown[];
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
    const persons = this.#types.get(event.eventType);
    if (!persons) return draft;
    const open: OpenFields[] = [];
    let waits = false;
    for (const { fields, names, person } of persons) {
      const values: unknown[] = [];
      let found = fields;
      for (const field of fields) {
        const value = fieldOf(event.data, field, event);
        if (value === undefined) found = found.filter((other) => other !== field);
        else values.push(value);
      }
      if (found.length === 0) continue;
      const cipher = this.#vault.cipherFor(personOf(event, person), event.actorId);
      if (cipher instanceof Promise) waits = Boolean(handled(cipher));
      const isWhole = found === fields;
      open.push({ fields: found, names: isWhole ? names : found.map(({ name }) => name), values, cipher });
    }
    if (open.length === 0) return draft;
    return waits ? handled(sealedLater(draft, version, open)) : sealed(draft, version, open);
  }

  /** An event as it is handed out; a promise if a key is not in memory. The event itself if nothing is encrypted. */
  open(event: StoredEvent): StoredEvent | Promise<StoredEvent> {
    const { data } = event;
    if (!isSealed(data)) return event;
    const list = data[PERSONAL];
    if (!isSealedList(list)) throw changed(event, "the list of its personal data");
    let waits = false;
    const keys = list.map(([keyId]) => {
      const key = this.#vault.cipherOf(keyId);
      waits ||= key instanceof Promise;
      return key;
    });
    return waits
      ? Promise.all(keys).then((known) => opened(event, list, known))
      : opened(event, list, keys as (PersonalCipher | ForgottenKey)[]);
  }
}

async function sealedLater(draft: Draft, version: number, open: readonly OpenFields[]): Promise<Draft> {
  const ready = open.map(async (fields) => ({ ...fields, cipher: await fields.cipher }));
  return sealed(draft, version, await Promise.all(ready));
}

/** Encrypts fields. */
function sealed(draft: Draft, version: number, open: readonly OpenFields[]): Draft {
  const { event } = draft;
  const data: Record<string, unknown> = { ...event.data as object };
  let { most } = draft;
  const list: SealedFields[] = [];
  for (const { fields, names, values, cipher } of open) {
    const { keys: [keyId] } = cipher as PersonalCipher;
    const place = placeOf(event.actorId, version, names);
    const text = (cipher as PersonalCipher).encrypt(JSON.stringify(values), place);
    most += text.length + SEALED_BYTES;
    for (const { name, keys } of fields) {
      replaceField(data, keys, null);
      most += (name.length + 1) * NAME_BYTES;
    }
    list.push(Object.freeze([keyId!, text, ...names] as const));
  }
  data[PERSONAL] = Object.freeze(list);
  return withData(draft, Object.freeze(data), most);
}

/** Decrypts the fields of an event. */
function opened(
  event: StoredEvent,
  list: readonly SealedFields[],
  keys: readonly (PersonalCipher | ForgottenKey)[],
): StoredEvent {
  const { [PERSONAL]: _, ...data } = event.data as Record<string, unknown>;
  let isForgotten = false;
  for (let index = 0; index < list.length; index++) {
    const [, sealed, ...names] = list[index]!;
    const key = keys[index]!;
    if ("forgottenAt" in key) {
      isForgotten = true;
      const value = Object.freeze({ $forgotten: key.forgottenAt });
      for (const name of names) restoreField(event, data, name, value);
      continue;
    }
    const text = key.decrypt(sealed, placeOf(event.actorId, event.version, names));
    if (text === undefined) throw changed(event, names.map((name) => `"${name}"`).join(", "));
    const values = JSON.parse(text) as readonly unknown[];
    for (let at = 0; at < names.length; at++) restoreField(event, data, names[at]!, freezeJson(values[at]));
  }
  const open = Object.freeze({ ...event, data: Object.freeze(data) });
  noteSchemaVersion(open, schemaVersionOf(event));
  if (isForgotten) noteForgotten(open);
  return open;
}

function restoreField(event: StoredEvent, data: object, name: string, value: unknown): void {
  try {
    replaceField(data, name.split("."), value);
  } catch {
    throw changed(event, `"${name}"`);
  }
}

/** What encrypted fields belong to. */
function placeOf(actorId: string, version: number, fields: readonly string[]): string {
  return `${actorId.length} ${actorId} ${version} ${JSON.stringify(fields)}`;
}

function personOf({ data, actorId }: DraftEvent, path: FieldPath | undefined): string {
  if (!path) return actorId;
  const person = fieldOf(data, path, { actorId });
  const fault = nameFault(person, MAX_PERSON_BYTES);
  if (fault === undefined) return person as string;
  throw new InvalidEventError(`data.${path.name}`, `names the person, and ${fault}`, { actorId });
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

/** Whether data have something encrypted. JSON has no `undefined`; and asking with `in` takes several times as long. */
function isSealed(data: unknown): data is Readonly<Record<typeof PERSONAL, unknown>> {
  return typeof data === "object" && data !== null &&
    (data as Readonly<Record<string, unknown>>)[PERSONAL] !== undefined;
}

function isSealedList(list: unknown): list is readonly SealedFields[] {
  return Array.isArray(list) &&
    list.every((fields) =>
      Array.isArray(fields) && fields.length > 2 && fields.every((part) => typeof part === "string")
    );
}

function changed({ actorId, version }: StoredEvent, what: string): VaultError {
  return new VaultError(
    "changed",
    `Event ${version} of actor ${JSON.stringify(actorId)}: ${what} cannot be decrypted`,
  );
}
