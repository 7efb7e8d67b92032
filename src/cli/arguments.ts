/**
 * What the command line takes.
 *
 * @module
 */

import {
  argument,
  command,
  constant,
  type InferValue,
  integer,
  map,
  merge,
  message,
  multiple,
  type NonEmptyString,
  object,
  option,
  optional,
  or,
  type Parser,
  string,
  type ValueParser,
  withDefault,
} from "@optique/core";

const text = (metavar: NonEmptyString): ValueParser<"sync", string> => string({ metavar });
const target = argument(text("TARGET"), {
  description:
    message`A file of Deno KV, the URL of a Deno KV database, or a NATS server such as nats://127.0.0.1:4222.`,
});
const count = (min: number, max: number): ValueParser<"sync", number> =>
  integer({ metavar: "NUMBER", min, max });

const json = object("Output", {
  json: option("--json", { description: message`One JSON object a line, for scripts.` }),
});

/** The most rows that a call prints. */
const MAX_ROWS = 100_000;
function limitOf(rows: number): Parser<"sync", { readonly limit: number }, unknown> {
  const description = message`The most rows to print.`;
  return object({ limit: withDefault(option("--limit", count(1, MAX_ROWS), { description }), rows) });
}

/** How the target is reached. A secret is read from the environment, or from a file: others see the command line. */
const access = object("Target", {
  namespace: withDefault(
    option("--namespace", text("NAME"), { description: message`The namespace of the log.` }),
    "default",
  ),
  prefix: withDefault(
    option("--prefix", text("PREFIX"), { description: message`The prefix that the store was opened with.` }),
    "aether",
  ),
  credentials: optional(
    option("--credentials", text("FILE"), {
      description:
        message`A file with NATS credentials. Or set AETHER_CREDENTIALS to it, AETHER_TOKEN to a token, or AETHER_USER and AETHER_PASSWORD.`,
    }),
  ),
  domain: optional(option("--domain", text("NAME"), { description: message`The JetStream domain.` })),
});

const common = merge(access, json);

const actorPrefix = object({
  actorPrefix: optional(
    option("--actor-prefix", text("TEXT"), { description: message`Only actors whose id begins with it.` }),
  ),
});
const filter = merge(
  actorPrefix,
  object({
    types: multiple(option("--type", text("TYPE"), { description: message`Only events of this type.` })),
    actor: optional(option("--actor", text("ACTOR"), { description: message`Only events of this actor.` })),
  }),
);
const after = object({
  after: optional(
    option("--after", text("POSITION"), { description: message`Begin behind this position.` }),
  ),
});

const show = command(
  "show",
  merge(
    object({
      command: constant("show"),
      target,
      actorId: argument(text("ACTOR"), { description: message`The id of an actor.` }),
      at: optional(
        option("--at", text("VERSION|TIME"), {
          description:
            message`Only what had happened then: a version, or a time such as 2026-01-31T12:00:00Z.`,
        }),
      ),
      diff: optional(
        option("--diff", text("A..B"), { description: message`What has changed between two versions.` }),
      ),
      decider: optional(
        option("--decider", text("FILE#NAME"), {
          description:
            message`The exported decider that folds the events to a state. It runs in a process without permissions.`,
        }),
      ),
      given: option("--given", { description: message`Print the history as the given([...]) of a test.` }),
    }),
    limitOf(100),
    common,
  ),
  { description: message`What happened to an actor, and what it was like then.` },
);

const log = command(
  "log",
  merge(object({ command: constant("log"), target }), after, filter, limitOf(50), common),
  { description: message`The latest events of all actors, or those behind a position.` },
);

const tail = command(
  "tail",
  merge(object({ command: constant("tail"), target }), after, filter, limitOf(10), common),
  { description: message`The latest events, and each new one, until it is interrupted.` },
);

const actors = command(
  "actors",
  merge(object({ command: constant("actors"), target }), actorPrefix, limitOf(50), common),
  { description: message`The actors and their latest versions.` },
);

const checkpoints = object({
  checkpoints: optional(
    option("--checkpoints", text("TARGET"), {
      description: message`Where the checkpoints are. Without it, in the target itself.`,
    }),
  ),
});

const projections = command(
  "projections",
  merge(object({ command: constant("projections"), target }), checkpoints, common),
  { description: message`The projections, how far they are behind, and why one has stopped.` },
);

const name = argument(text("PROJECTION"), { description: message`The name of a projection.` });
const version = withDefault(
  option("--version", count(1, Number.MAX_SAFE_INTEGER), { description: message`Its version.` }),
  1,
);
const position = argument(text("POSITION"), { description: message`The position of the parked event.` });
const yes = object({ yes: option("--yes", { description: message`Do it without asking.` }) });

const parked = command(
  "parked",
  or(
    command("list", merge(object({ action: constant("list"), target, name, version }), checkpoints, common), {
      description: message`The events that a projection has set aside.`,
    }),
    command(
      "retry",
      merge(
        object({
          action: constant("retry"),
          target,
          projection: option("--projection", text("FILE#NAME"), {
            description:
              message`The exported projection, or a function that returns it, whose handler is called. It runs in this process, with its permissions.`,
          }),
          position,
        }),
        checkpoints,
        yes,
        common,
      ),
      { description: message`Handles a parked event again, and what waits behind it.` },
    ),
    command(
      "discard",
      merge(
        object({ action: constant("discard"), target, name, version, position }),
        checkpoints,
        yes,
        common,
      ),
      { description: message`Gives a parked event up; what waits behind it goes on.` },
    ),
  ),
  { description: message`Events that a projection has set aside: list, retry and discard them.` },
);

const verify = command(
  "verify",
  merge(
    object({
      command: constant("verify"),
      target,
      expectedPosition: optional(
        option("--expected-position", text("POSITION"), {
          description: message`A position that the log must reach.`,
        }),
      ),
    }),
    common,
  ),
  { description: message`Reads everything, and reports what is damaged or missing.` },
);

const diagnose = command(
  "diagnose",
  merge(object({ command: constant("diagnose"), target }), common),
  { description: message`What weakens the log: replicas, limits, settings.` },
);

const copy = command(
  "copy",
  merge(
    object({
      command: constant("copy"),
      target,
      to: argument(text("TO"), { description: message`Where the events go: a new or an unfinished copy.` }),
      toNamespace: optional(
        option("--to-namespace", text("NAME"), {
          description: message`The namespace there. Without it, the same.`,
        }),
      ),
    }),
    yes,
    common,
  ),
  { description: message`Copies every event to another place, and compares in the end. It can be repeated.` },
);

const cluster = command(
  "cluster",
  merge(
    object({
      command: constant("cluster"),
      target,
      cluster: withDefault(
        option("--cluster", text("NAME"), { description: message`The name of the cluster.` }),
        "default",
      ),
    }),
    common,
  ),
  { description: message`The nodes of a cluster, and which shards they have.` },
);

/** The grammar of the command line. */
export const PARSER = or(
  or(show, log, tail, actors, verify, diagnose),
  or(projections, map(parked, (request) => ({ command: "parked" as const, ...request })), cluster, copy),
);

/** What the command line asks for. */
export type Request = InferValue<typeof PARSER>;
/** What one command asks for. */
export type RequestOf<C extends Request["command"]> = Extract<Request, { readonly command: C }>;
/** How a target is reached. */
export type Access = InferValue<typeof access>;
