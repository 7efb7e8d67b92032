/**
 * What the commands take that seal a log, or take it elsewhere.
 *
 * @module
 */

import { argument, command, constant, merge, message, object, option, optional } from "@optique/core";
import { bucket, common, lazily, permissions, target, text, yes } from "./common_arguments.ts";

/** `seal`. */
export const seal = lazily(() =>
  command(
    "seal",
    merge(
      object({
        command: constant("seal"),
        target,
        place: argument(text("PLACE"), {
          description: message`Where the seal is kept: a folder, or a NATS server.`,
        }),
        bucket,
        key: optional(
          option("--key", text("FILE"), {
            description: message`The file of the private key. Or set AETHER_SEAL_KEY to the key.`,
          }),
        ),
        newKey: optional(
          option("--new-key", text("NAME"), {
            description:
              message`Makes the file of --key, with a new key of this name such as example.com/orders, and prints the public key.`,
          }),
        ),
        origin: optional(
          option("--origin", text("NAME"), {
            description: message`The name of the log. Without it, the name of the key.`,
          }),
        ),
        firstKept: option("--first-kept", {
          description: message`Begin a new seal at the first event that is kept.`,
        }),
      }),
      common,
    ),
    {
      description: message`Seals what the log has by now, so that a later change of it can be shown.`,
      footer: permissions(
        "for PLACE a folder --allow-read=FOLDER,PLACE --allow-write=PLACE, with FOLDER the one that PLACE is in",
        "for --key --allow-read=FILE, for --new-key also --allow-write=FILE, for a key in the environment --allow-env=AETHER_SEAL_KEY",
      ),
    },
  )
);

/** `export`. */
export const exportCommand = lazily(() =>
  command(
    "export",
    merge(
      object({
        command: constant("export"),
        target,
        file: argument(text("FILE"), {
          description: message`A new or an unfinished file, or - for the output.`,
        }),
        gzip: option("--gzip", { description: message`Compress it.` }),
        key: optional(
          option("--key", text("FILE"), {
            description:
              message`Sign it with the private key in this file. Or set AETHER_SEAL_KEY to the key.`,
          }),
        ),
      }),
      common,
    ),
    {
      description:
        message`Writes every event to a file, a commit a line. It can be repeated after an interruption.`,
      footer: permissions(
        "for FILE --allow-read=FOLDER --allow-write=FOLDER, with FOLDER the one that FILE is in",
        "for --key --allow-read=FILE, for a key in the environment --allow-env=AETHER_SEAL_KEY",
      ),
    },
  )
);

/** `import`. */
export const importCommand = lazily(() =>
  command(
    "import",
    merge(
      object({
        command: constant("import"),
        target,
        file: argument(text("FILE"), { description: message`A file that export has written.` }),
        publicKey: optional(
          option("--public-key", text("KEY"), {
            description:
              message`The public key that it must be signed with: its text, or a file that has it.`,
          }),
        ),
      }),
      yes,
      common,
    ),
    {
      description: message`Stores the events of an export, and compares in the end. It can be repeated.`,
      footer: permissions("for FILE --allow-read=FILE"),
    },
  )
);

/** `copy`. */
export const copy = lazily(() =>
  command(
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
    {
      description: message`Copies every event to another place, and compares in the end. It can be repeated.`,
      footer: permissions("for TO the same as for TARGET"),
    },
  )
);
