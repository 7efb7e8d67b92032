/**
 * What the commands take that look into the log.
 *
 * @module
 */

import { argument, command, constant, merge, message, object, option, optional } from "@optique/core";
import {
  actorPrefix,
  after,
  bucket,
  common,
  filter,
  lazily,
  limitOf,
  MODULE,
  permissions,
  target,
  text,
} from "./common_arguments.ts";
import { DEFAULT_SHOWN } from "./defaults.ts";

/** `show`. */
export const show = lazily(() =>
  command(
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
          option("--decider", text(MODULE), {
            description:
              message`The exported decider that folds the events to a state. It runs in a process without permissions.`,
          }),
        ),
        given: option("--given", { description: message`Print the history as the given([...]) of a test.` }),
      }),
      limitOf(DEFAULT_SHOWN),
      common,
    ),
    {
      description: message`What happened to an actor, and what it was like then.`,
      footer: permissions("for --decider --allow-run=deno"),
    },
  )
);

/** `log`. */
export const log = lazily(() =>
  command(
    "log",
    merge(object({ command: constant("log"), target }), after, filter, limitOf(50), common),
    {
      description: message`The latest events of all actors, or those behind a position.`,
      footer: permissions(),
    },
  )
);

/** `tail`. */
export const tail = lazily(() =>
  command(
    "tail",
    merge(object({ command: constant("tail"), target }), after, filter, limitOf(10), common),
    {
      description: message`The latest events, and each new one, until it is interrupted.`,
      footer: permissions(),
    },
  )
);

/** `actors`. */
export const actors = lazily(() =>
  command(
    "actors",
    merge(object({ command: constant("actors"), target }), actorPrefix, limitOf(50), common),
    {
      description: message`The actors and their latest versions.`,
      footer: permissions(),
    },
  )
);

/** `verify`. */
export const verify = lazily(() =>
  command(
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
        seal: optional(
          option("--seal", text("PLACE"), {
            description: message`Compares the log with its seal there: a folder, or a NATS server.`,
          }),
        ),
        bucket,
        publicKey: optional(
          option("--public-key", text("KEY"), {
            description:
              message`The public key of the seal or of an export: its text, or a file that has it.`,
          }),
        ),
        seen: optional(
          option("--seen", text("FILE"), {
            description: message`A checkpoint that was seen before: the seal must continue it.`,
          }),
        ),
        isCopy: option("--copy", {
          description: message`The log is a copy of the one that was sealed: positions are not compared.`,
        }),
      }),
      common,
    ),
    {
      description: message`Reads everything, and reports what is damaged or missing.`,
      footer: permissions(
        "for --seal a folder --allow-read=PLACE",
        "for an export --allow-read=TARGET alone",
      ),
    },
  )
);

/** `diagnose`. */
export const diagnose = lazily(() =>
  command(
    "diagnose",
    merge(object({ command: constant("diagnose"), target }), common),
    {
      description: message`What weakens the log: replicas, limits, settings.`,
      footer: permissions(),
    },
  )
);
