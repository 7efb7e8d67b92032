/**
 * What the commands take that look at what works on the log.
 *
 * @module
 */

import {
  argument,
  command,
  constant,
  merge,
  message,
  multiple,
  object,
  option,
  optional,
  or,
  withDefault,
} from "@optique/core";
import {
  CHECKPOINTS,
  checkpoints,
  common,
  count,
  lazily,
  limitOf,
  MODULE,
  permissions,
  SERVER_PERMISSIONS,
  target,
  text,
  yes,
} from "./common_arguments.ts";

/** `projections`. */
export const projections = lazily(() =>
  command(
    "projections",
    merge(object({ command: constant("projections"), target }), checkpoints, common),
    {
      description: message`The projections, how far they are behind, and why one has stopped.`,
      footer: permissions(CHECKPOINTS),
    },
  )
);

const name = argument(text("PROJECTION"), { description: message`The name of a projection.` });

const version = withDefault(
  option("--version", count(1, Number.MAX_SAFE_INTEGER), { description: message`Its version.` }),
  1,
);

const position = argument(text("POSITION"), { description: message`The position of the parked event.` });

/** `parked`. */
export const parked = lazily(() =>
  command(
    "parked",
    or(
      command(
        "list",
        merge(object({ action: constant("list"), target, name, version }), checkpoints, common),
        {
          description: message`The events that a projection has set aside.`,
          footer: permissions(CHECKPOINTS),
        },
      ),
      command(
        "retry",
        merge(
          object({
            action: constant("retry"),
            target,
            projection: option("--projection", text(MODULE), {
              description:
                message`The exported projection, or a function that returns it, whose handler is called. It runs in this process, with its permissions.`,
            }),
            position,
          }),
          checkpoints,
          yes,
          common,
        ),
        {
          description: message`Handles a parked event again, and what waits behind it.`,
          footer: permissions(
            CHECKPOINTS,
            "for --projection --allow-read=FILE, and the same for the files that it imports, and what its handler needs",
          ),
        },
      ),
      command(
        "discard",
        merge(
          object({ action: constant("discard"), target, name, version, position }),
          checkpoints,
          yes,
          common,
        ),
        {
          description: message`Gives a parked event up; what waits behind it goes on.`,
          footer: permissions(CHECKPOINTS),
        },
      ),
    ),
    { description: message`Events that a projection has set aside: list, retry and discard them.` },
  )
);

/** `timers`. */
export const timers = lazily(() =>
  command(
    "timers",
    merge(
      object({
        command: constant("timers"),
        target,
        until: optional(
          option("--until", text("TIME"), {
            description: message`Only timers that are due at this time, such as 2026-01-31T12:00:00Z.`,
          }),
        ),
        actors: multiple(
          option("--actors", text(MODULE), {
            description:
              message`An exported definition of actors, or a list of them. Instead of listing, the index is compared with the timers that their states name. The file runs in this process, with its permissions.`,
          }),
        ),
        correct: option("--correct", { description: message`With --actors: corrects what differs.` }),
      }),
      limitOf(50),
      yes,
      common,
    ),
    {
      description: message`The timers of actors that are late, due and coming.`,
      footer: permissions("for --actors --allow-read=FILE, and the same for the files that it imports"),
    },
  )
);

/** `cluster`. */
export const cluster = lazily(() =>
  command(
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
    {
      description: message`The nodes of a cluster, and which shards they have.`,
      footer: SERVER_PERMISSIONS,
    },
  )
);
