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

/** The keys that lead to a field. */
export type FieldPath = readonly string[];

/** Fields of one person. */
export interface PersonalFields {
  readonly fields: readonly FieldPath[];
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
  const fields = personal.flatMap(({ fields }) => fields.map((path) => path.join(".")));
  const persons = personal.flatMap(({ person }) => person ? [person.join(".")] : []);
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
    return {
      fields: fields.map((field) => pathOf(`${argument}.fields`, field)),
      person: person === undefined ? undefined : pathOf(`${argument}.person`, person),
    };
  }, argument);
}

function pathOf(argument: string, field: unknown): FieldPath {
  const path = typeof field === "string" ? field.split(".") : [""];
  if (!path.includes("")) return path;
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
export function fieldOf(data: unknown, path: FieldPath, reference: EventReference): unknown {
  let value = data;
  for (let depth = 0; depth < path.length; depth++) {
    if (depth > 0 && (value === undefined || value === null)) return undefined;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      const place = ["data", ...path.slice(0, depth)].join(".");
      throw new InvalidEventError(
        place,
        `must be an object, because ${path.join(".")} in it is personal, and is ${describe(value)}`,
        reference,
      );
    }
    const key = path[depth]!;
    value = Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
  }
  return value;
}

/** A copy of data with another value in a field that it has, frozen as it is. */
export function withField(data: unknown, path: FieldPath, value: unknown, depth = 0): unknown {
  if (depth === path.length) return value;
  if (typeof data !== "object" || data === null || Array.isArray(data)) throw new TypeError("no such field");
  const key = path[depth]!;
  const old = Object.hasOwn(data, key) ? (data as Record<string, unknown>)[key] : undefined;
  // A spread and a computed name make own properties, also of `__proto__`.
  return Object.freeze({ ...data, [key]: withField(old, path, value, depth + 1) });
}
