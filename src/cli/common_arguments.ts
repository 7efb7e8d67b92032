/**
 * The arguments and options that several commands share, and the permissions that suffice for them.
 *
 * @module
 */

import {
  argument,
  integer,
  merge,
  type Message,
  message,
  multiple,
  type NonEmptyString,
  object,
  option,
  optional,
  type Parser,
  string,
  text as plain,
  type ValueParser,
  withDefault,
} from "@optique/core";
import { DEFAULT_LOG } from "./defaults.ts";

/** A grammar that is built when it is needed: each one takes some milliseconds. */
export function lazily<T>(build: () => T): () => T {
  return build;
}

/** A text, shown by a name. */
export const text = (metavar: NonEmptyString): ValueParser<"sync", string> => string({ metavar });
/** A whole number. */
export const count = (min: number, max: number): ValueParser<"sync", number> =>
  integer({ metavar: "NUMBER", min, max });

/** What a command works on. */
export const target = argument(text("TARGET"), {
  description:
    message`A file of Deno KV, the URL of a Deno KV database, or a NATS server such as nats://127.0.0.1:4222.`,
});

/** The most rows that a call prints. */
const MAX_ROWS = 100_000;
/** How many rows a command prints, and the default. */
export function limitOf(rows: number): Parser<"sync", { readonly limit: number }, unknown> {
  const description = message`The most rows to print. Without it ${String(rows)}.`;
  return object({ limit: withDefault(option("--limit", count(1, MAX_ROWS), { description }), rows) });
}

/** How the target is reached. A secret is read from the environment, or from a file: others see the command line. */
const access = object("Target", {
  namespace: withDefault(
    option("--namespace", text("NAME"), { description: message`The namespace of the log.` }),
    DEFAULT_LOG.namespace,
  ),
  prefix: withDefault(
    option("--prefix", text("PREFIX"), { description: message`The prefix that the store was opened with.` }),
    DEFAULT_LOG.prefix,
  ),
  credentials: optional(
    option("--credentials", text("FILE"), {
      description:
        message`A file with NATS credentials. Or set AETHER_CREDENTIALS to it, AETHER_TOKEN to a token, or AETHER_USER and AETHER_PASSWORD.`,
    }),
  ),
  domain: optional(option("--domain", text("NAME"), { description: message`The JetStream domain.` })),
});

const json = object("Output", {
  json: option("--json", { description: message`One JSON object a line, for scripts.` }),
});

/** What every command takes. */
export const common = merge(access, json);

/** Which actors. */
export const actorPrefix = object({
  actorPrefix: optional(
    option("--actor-prefix", text("TEXT"), { description: message`Only actors whose id begins with it.` }),
  ),
});

/** Which events. */
export const filter = merge(
  actorPrefix,
  object({
    types: multiple(option("--type", text("TYPE"), { description: message`Only events of this type.` })),
    actor: optional(option("--actor", text("ACTOR"), { description: message`Only events of this actor.` })),
  }),
);

/** Where a read begins. */
export const after = object({
  after: optional(
    option("--after", text("POSITION"), { description: message`Begin behind this position.` }),
  ),
});

/** Where checkpoints are. */
export const checkpoints = object({
  checkpoints: optional(
    option("--checkpoints", text("TARGET"), {
      description: message`Where the checkpoints are. Without it, in the target itself.`,
    }),
  ),
});

/** The consent to a change. */
export const yes = object({ yes: option("--yes", { description: message`Do it without asking.` }) });

const FILE = "--unstable-kv --allow-read=TARGET --allow-write=TARGET";
const SERVER = "--allow-net=HOST:PORT";
const ENVIRONMENT = "--allow-env=AETHER_USER,AETHER_PASSWORD,AETHER_TOKEN,AETHER_CREDENTIALS";

/**
 * The end of a command's help: the permissions that suffice.
 *
 * @param more Those beyond the target's, each with what it is for.
 */
export function permissions(...more: readonly string[]): Message {
  const lines = [
    `for a file ${FILE}`,
    `for a NATS server ${SERVER}, and for credentials in the environment ${ENVIRONMENT}`,
    ...more,
  ];
  return [plain(`Permissions: ${lines.join("; ")}.`)];
}
/** The same of a command for a NATS server alone. */
export const SERVER_PERMISSIONS: Message = [
  plain(`Permissions: ${SERVER}, and for credentials in the environment ${ENVIRONMENT}.`),
];

/** The permissions for `--checkpoints`. */
export const CHECKPOINTS = "for --checkpoints the same as for TARGET";
/** How an export of a file is named. */
export const MODULE = "FILE#NAME";

/** The bucket of a seal. */
export const bucket = withDefault(
  option("--bucket", text("NAME"), { description: message`The bucket of a seal on a NATS server.` }),
  "aether_seal",
);
