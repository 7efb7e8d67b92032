/**
 * What takes the place of a person's data when the person was forgotten.
 *
 * @module
 */

/**
 * What a field reads as whose person was forgotten. It is plain data, so that upcasters, states and snapshots can carry it.
 *
 * @example A name that may be forgotten
 * ```ts
 * import { type Forgotten, isForgotten } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * const greet = (name: string | Forgotten) => `Hello ${isForgotten(name) ? "customer" : name}`;
 * assert.equal(greet("Ann"), "Hello Ann");
 * assert.equal(greet({ $forgotten: "2026-01-31T12:00:00.000Z" }), "Hello customer");
 * ```
 *
 * @category Events
 */
export interface Forgotten {
  /** When the person was forgotten, as UTC with milliseconds. */
  readonly $forgotten: string;
}

/**
 * Whether a value is what a forgotten field reads as.
 *
 * @example A field of an event
 * ```ts
 * import { isForgotten } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * assert(isForgotten({ $forgotten: "2026-01-31T12:00:00.000Z" }));
 * assert(!isForgotten("Ann"));
 * ```
 *
 * @category Events
 */
export function isForgotten(value: unknown): value is Forgotten {
  return typeof value === "object" && value !== null &&
    typeof (value as Partial<Forgotten>).$forgotten === "string" && Object.keys(value).length === 1;
}

/**
 * The fields that can be marked as personal: those whose type admits {@linkcode Forgotten}, nested ones with a dot, down to four
 * levels.
 *
 * @typeParam Data The data of the event.
 * @typeParam Level One element for each level that the data are nested themselves.
 *
 * @category Events
 */
export type PersonalField<Data, Level extends readonly 0[] = []> = unknown extends Data ? string
  : Level["length"] extends 4 ? never
  : Data extends readonly unknown[] ? never
  : Data extends object ? {
      [K in keyof Data & string]:
        | (Forgotten extends Data[K] ? K : never)
        | `${K}.${PersonalField<NonNullable<Exclude<Data[K], Forgotten>>, [...Level, 0]>}`;
    }[keyof Data & string]
  : never;

/**
 * The fields that can name a person: texts, nested ones with a dot, down to four levels.
 *
 * @typeParam Data The data of the event.
 * @typeParam Level One element for each level that the data are nested themselves.
 *
 * @category Events
 */
export type PersonField<Data, Level extends readonly 0[] = []> = unknown extends Data ? string
  : Level["length"] extends 4 ? never
  : Data extends readonly unknown[] ? never
  : Data extends object ? {
      [K in keyof Data & string]: NonNullable<Data[K]> extends string ? K
        : `${K}.${PersonField<NonNullable<Data[K]>, [...Level, 0]>}`;
    }[keyof Data & string]
  : never;

/**
 * Which fields of an event are about a person. They are encrypted with a key of that person before they are stored.
 *
 * @category Events
 */
export interface PersonalData<Data = unknown> {
  /** The fields, such as `name` and `address.street`. A field that an event does not have is left out. */
  readonly fields: readonly PersonalField<Data>[];
  /** The field with the id of the person, which is not encrypted itself. @default {the actor's id is the person's} */
  readonly person?: PersonField<Data>;
}

const forgotten = new WeakSet<object>();

/** Notes that fields of an event are forgotten: it need not fit its schema any more. */
export function noteForgotten(event: object): void {
  forgotten.add(event);
}

/** Whether fields of an event are forgotten. */
export function hasForgotten(event: object): boolean {
  return forgotten.has(event);
}
