/**
 * The personal fields of event types as they are registered, and reading and replacing them in data.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { checkKnown, type OptionNames, readOptions } from "../options.ts";
import { describe } from "../text.ts";
import { InvalidEventError } from "./errors.ts";
import type { PersonalData } from "./forgotten.ts";
import { setOwn } from "./json.ts";

/** A field of data. */
export interface FieldPath {
  /** Its name as it is registered, such as `address.street`. */
  readonly name: string;
  /** The keys that lead to it. */
  readonly keys: readonly string[];
}

/** Fields of one person. */
export interface PersonalFields {
  readonly fields: readonly FieldPath[];
  /** Their names. */
  readonly names: readonly string[];
  /** Where the person's id is; the actor's id if `undefined`. */
  readonly person: FieldPath | undefined;
}

const PERSONAL: OptionNames<PersonalData> = { fields: true, person: true };

/**
 * Reads what is registered as personal for an event type.
 *
 * @throws {InvalidArgumentError} If it is no list of fields, or one of them has no place of its own.
 */
export function readPersonal(argument: string, given: unknown): readonly PersonalFields[] {
  if (given === undefined) return [];
  const list = Array.isArray(given) ? given as readonly unknown[] : [given];
  const personal = list.map((each) => readOne(argument, each));
  const fields = personal.flatMap(({ fields }) => fields.map(({ name }) => name));
  const persons = personal.flatMap(({ person }) => person ? [person.name] : []);
  const inside = [...fields, ...persons].find((place, index) =>
    fields.some((field, at) => at !== index && `${place}.`.startsWith(`${field}.`))
  );
  if (inside === undefined) return personal;
  throw new InvalidArgumentError(argument, `has "${inside}" twice, or inside another personal field`);
}

function readOne(argument: string, given: unknown): PersonalFields {
  return readOptions(given as PersonalData, ({ ...options }) => {
    checkKnown<PersonalData>(options, PERSONAL, argument);
    const { fields, person } = options as { readonly fields?: unknown; readonly person?: unknown };
    if (!Array.isArray(fields) || fields.length === 0) {
      throw new InvalidArgumentError(
        `${argument}.fields`,
        `must be a list of fields, and is ${describe(fields)}`,
      );
    }
    const paths = fields.map((field) => pathOf(`${argument}.fields`, field));
    return {
      fields: paths,
      names: paths.map(({ name }) => name),
      person: person === undefined ? undefined : pathOf(`${argument}.person`, person),
    };
  }, argument);
}

function pathOf(argument: string, field: unknown): FieldPath {
  const keys = typeof field === "string" ? field.split(".") : [""];
  if (!keys.includes("")) return { name: field as string, keys };
  throw new InvalidArgumentError(
    argument,
    `must be the name of a field, such as "name" or "address.street", and is ${describe(field)}`,
  );
}

/** Where an event is refused. */
export interface EventReference {
  readonly actorId: string;
}

/**
 * The value of a field; `undefined` if the data do not have it.
 *
 * @throws {InvalidEventError} If what should contain it is no object: personal data might be there under no name.
 */
export function fieldOf(data: unknown, { name, keys }: FieldPath, reference: EventReference): unknown {
  let value = data;
  for (let depth = 0; depth < keys.length; depth++) {
    if (depth > 0 && (value === undefined || value === null)) return undefined;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      const place = ["data", ...keys.slice(0, depth)].join(".");
      throw new InvalidEventError(
        place,
        `must be an object, because ${name} in it is personal, and is ${describe(value)}`,
        reference,
      );
    }
    const key = keys[depth]!;
    value = Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
  }
  return value;
}

/**
 * Replaces the value of a field in a copy of data that is not frozen yet. What contains a nested field is copied and frozen.
 *
 * @throws {TypeError} If the data have no such field.
 */
export function replaceField(copy: object, keys: readonly string[], value: unknown, depth = 0): void {
  const key = keys[depth]!;
  const owner = copy as Record<string, unknown>;
  let replacement = value;
  if (depth + 1 < keys.length) {
    const nested = Object.hasOwn(owner, key) ? owner[key] : undefined;
    if (typeof nested !== "object" || nested === null || Array.isArray(nested)) {
      throw new TypeError("no such field");
    }
    replacement = { ...nested };
    replaceField(replacement as object, keys, value, depth + 1);
    Object.freeze(replacement);
  }
  setOwn(owner, key, replacement);
}
