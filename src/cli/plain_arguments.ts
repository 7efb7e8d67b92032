/**
 * The most usual command line, if it is right. The library that knows all of them, explains what is wrong and prints the help
 * takes longer to load than a look at an actor.
 *
 * @module
 */

import type { RequestOf } from "./arguments.ts";
import { DEFAULT_LOG, DEFAULT_SHOWN } from "./defaults.ts";

type Show = RequestOf<"show">;

const TEXTS = {
  "--at": "at",
  "--diff": "diff",
  "--decider": "decider",
  "--namespace": "namespace",
  "--prefix": "prefix",
  "--credentials": "credentials",
  "--domain": "domain",
} as const satisfies Readonly<Record<string, keyof Show>>;
const FLAGS = { "--given": "given", "--json": "json" } as const satisfies Readonly<
  Record<string, keyof Show>
>;
const LIMIT = "--limit";

/** Reads `show TARGET ACTOR` with its options; `undefined` if it is anything else, or may be wrong. */
export function readPlain([command, ...rest]: readonly string[]): Show | undefined {
  if (command !== "show") return undefined;
  const operands: string[] = [];
  const options: Record<string, string | boolean | number> = {};
  for (let index = 0; index < rest.length; index++) {
    const name = rest[index]!;
    if (!name.startsWith("-")) {
      operands.push(name);
      continue;
    }
    const field = fieldOf(name);
    if (field === undefined || Object.hasOwn(options, field)) return undefined;
    const value = name in FLAGS ? true : rest[++index];
    if (value === undefined || value === "" || typeof value === "string" && value.startsWith("-")) {
      return undefined;
    }
    if (name === LIMIT && !/^[1-9]\d{0,4}$/.test(String(value))) return undefined;
    options[field] = name === LIMIT ? Number(value) : value;
  }
  const [target, actorId, ...more] = operands;
  if (!target || !actorId || more.length > 0) return undefined;
  return {
    ...{ command, target, actorId, at: undefined, diff: undefined, decider: undefined, given: false },
    ...{ limit: DEFAULT_SHOWN, ...DEFAULT_LOG, credentials: undefined, domain: undefined, json: false },
    ...options,
  };
}

function fieldOf(name: string): keyof Show | undefined {
  if (name === LIMIT) return "limit";
  if (Object.hasOwn(TEXTS, name)) return TEXTS[name as keyof typeof TEXTS];
  return Object.hasOwn(FLAGS, name) ? FLAGS[name as keyof typeof FLAGS] : undefined;
}
