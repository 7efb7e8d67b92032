/**
 * What `studio` takes.
 *
 * @module
 */

import {
  command,
  constant,
  merge,
  message,
  multiple,
  object,
  option,
  optional,
  withDefault,
} from "@optique/core";
import {
  bucket,
  CHECKPOINTS,
  checkpoints,
  common,
  count,
  lazily,
  MODULE,
  permissions,
  target,
  text,
} from "./common_arguments.ts";

/** The largest port. */
const MAX_PORT = 65_535;

/** `studio`. */
export const studio = lazily(() =>
  command(
    "studio",
    merge(
      object({
        command: constant("studio"),
        target,
        host: withDefault(
          option("--host", text("NAME"), {
            description:
              message`The address or name to listen on. Others can reach the page then, and see what is sent: it is not encrypted.`,
          }),
          "127.0.0.1",
        ),
        port: withDefault(
          option("--port", count(0, MAX_PORT), { description: message`The port; 0 is any that is free.` }),
          4_380,
        ),
        write: option("--write", {
          description: message`Let the page retry and discard parked events. Without it, it only reads.`,
        }),
        deciders: multiple(
          option("--decider", text(MODULE), {
            description:
              message`An exported decider that folds events to a state. It runs in a process without permissions.`,
          }),
        ),
        projections: multiple(
          option("--projection", text(MODULE), {
            description:
              message`An exported projection, or a function that returns it, to retry what it has parked. It runs in this process, with its permissions.`,
          }),
        ),
        cluster: withDefault(
          option("--cluster", text("NAME"), { description: message`The name of the cluster.` }),
          "default",
        ),
        seal: optional(
          option("--seal", text("PLACE"), {
            description: message`The folder, or the NATS server, that has the seal of the log.`,
          }),
        ),
        bucket,
      }),
      checkpoints,
      common,
    ),
    {
      description:
        message`A page in the browser about all of this, on this machine, until it is interrupted.`,
      footer: permissions(
        "to listen --allow-net=127.0.0.1:4380, or what --host and --port name",
        "for --decider --allow-run=deno",
        "for --projection --allow-read=FILE, and what the projection needs",
        "for --seal --allow-read=PLACE, or the same as for a NATS server",
        CHECKPOINTS,
      ),
    },
  )
);
