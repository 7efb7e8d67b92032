/**
 * The keys of seals and exports.
 *
 * @module
 */

import { generateSealKey, type SignerSource } from "../evidence/signer.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import { printable } from "./output.ts";
import type { Terminal } from "./terminal.ts";

/** The variable that has a private key. */
const VARIABLE = "AETHER_SEAL_KEY";
/** Only the owner may read the file of a private key. */
const PRIVATE_MODE = 0o600;

/**
 * The private key that was named: a file, or the variable of the environment; `undefined` if there is none.
 *
 * @throws {CommandFailure} If there is no such file.
 */
export function signerOf(key: string | undefined): SignerSource | undefined {
  if (key !== undefined) {
    if (isFile(key)) return { file: key };
    throw new CommandFailure(
      `--key must be the file of a private key, and "${printable(key)}" is no file. Make one with ` +
        "aether seal --key FILE --new-key NAME.",
      ExitCode.misused,
    );
  }
  const { state } = Deno.permissions.querySync({ name: "env", variable: VARIABLE });
  return state === "granted" && Deno.env.get(VARIABLE) !== undefined ? { env: VARIABLE } : undefined;
}

function isFile(path: string): boolean {
  try {
    return !Deno.statSync(path).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw error;
  }
}

/** Makes the file of a new private key, and prints the public one. */
export async function makeKey(file: string | undefined, name: string, terminal: Terminal): Promise<void> {
  if (file === undefined) throw new CommandFailure("--new-key needs --key FILE.", ExitCode.misused);
  const { privateKey, publicKey } = generateSealKey(name);
  try {
    await Deno.writeTextFile(file, `${privateKey}\n`, { createNew: true, mode: PRIVATE_MODE });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) {
      await Deno.remove(file).catch(() => {}); // a part of a key, as on a disk that is full
      throw error;
    }
    throw new CommandFailure(
      `There is a file "${printable(file)}" already: leave --new-key out to use its key.`,
    );
  }
  terminal.note(
    `The private key is in "${
      printable(file)
    }": keep it where the log's operators cannot read it. Give the public ` +
      `key to the auditors: ${publicKey}`,
  );
}

/** A public key: its text, or what a file has. */
export async function publicKeyOf(text: string): Promise<string> {
  if (/^[^+\s/]\S*\+[0-9a-f]{8}\+\S+$/.test(text)) return text;
  try {
    return (await Deno.readTextFile(text)).trim();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new CommandFailure(
      `"${
        printable(text)
      }" is neither a public key, such as example.com/orders+1a2b3c4d+..., nor a file that has one.`,
      ExitCode.misused,
    );
  }
}
