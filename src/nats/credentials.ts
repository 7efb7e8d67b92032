/**
 * The credentials that a connection is opened with: a user and a password, a token, a credentials file or an nkey.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";

/** The options of a connection that are credentials. */
export type CredentialOptions = Readonly<
  Partial<Record<"user" | "pass" | "token" | "credentials" | "nkey", string>>
>;

/**
 * What the client is given for the credentials of the options; `undefined` if there are none.
 *
 * @throws {InvalidArgumentError} If they are incomplete, or not sound.
 */
export async function credentialsOf(
  { user, pass, token, credentials, nkey }: CredentialOptions,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  for (const [name, value] of Object.entries({ user, pass, token, credentials, nkey })) {
    if (value !== undefined && (typeof value !== "string" || value === "")) {
      throw new InvalidArgumentError(`options.connect.${name}`, "must be a string that is not empty");
    }
  }
  if ([user, token, credentials, nkey].filter((value) => value !== undefined).length > 1) {
    throw new InvalidArgumentError("options.connect", "must have one of user, token, credentials and nkey");
  }
  if (user === undefined && pass !== undefined) {
    throw new InvalidArgumentError("options.connect.user", "is missing: a password needs a user");
  }
  if (user !== undefined) return pass === undefined ? { user } : { user, pass };
  if (token !== undefined) return { token };
  if (credentials !== undefined) {
    const text = await credentialsText(credentials);
    const { credsAuthenticator } = await import("@nats-io/nats-core");
    await checkSeed("options.connect.credentials", SEED_IN_CREDENTIALS.exec(text)?.[1]);
    return { authenticator: credsAuthenticator(new TextEncoder().encode(text)) };
  }
  if (nkey === undefined) return undefined;
  await checkSeed("options.connect.nkey", nkey.trim());
  const { nkeyAuthenticator } = await import("@nats-io/nats-core");
  return { authenticator: nkeyAuthenticator(new TextEncoder().encode(nkey.trim())) };
}

const CLIENT_CREDENTIALS = ["user", "token", "authenticator"] as const;

/** Whether options of the client itself have credentials. */
export function hasCredentials(client: Readonly<Record<string, unknown>> = {}): boolean {
  return CLIENT_CREDENTIALS.some((name) => client[name] !== undefined);
}

const SEED_IN_CREDENTIALS = /BEGIN USER NKEY SEED-+\s*(\S+)\s/;

/** Refuses what is no seed here: the client would refuse it while it connects, as if no server answered. */
async function checkSeed(argument: string, seed: string | undefined): Promise<void> {
  const { nkeys } = await import("@nats-io/nats-core");
  try {
    if (seed?.startsWith("SU")) return nkeys.fromSeed(new TextEncoder().encode(seed)).clear();
  } catch {
    // refused below, without the cause, which is about a secret
  }
  throw new InvalidArgumentError(argument, "must hold the whole seed of a user, which begins with SU");
}

/** The text of a credentials file, with the line breaks that the client expects. No message holds a part of it. */
async function credentialsText(credentials: string): Promise<string> {
  const argument = "options.connect.credentials";
  let text = credentials;
  if (!credentials.includes("-----BEGIN")) {
    try {
      text = await Deno.readTextFile(credentials);
    } catch (error) {
      // Not as the cause: its message has what was given, which may be a secret.
      const why = error instanceof Error ? error.name : "unknown";
      throw new InvalidArgumentError(
        argument,
        `is no text of a credentials file, and no file can be read at that path (${why})`,
      );
    }
  }
  if (!/BEGIN NATS USER JWT-+\s+[\w-]+\.[\w-]+\.[\w-]+\s[^]*BEGIN USER NKEY SEED-/.test(text)) {
    throw new InvalidArgumentError(argument, "must hold the JWT of a NATS user and the seed of its nkey");
  }
  return text.replace(/\r\n?/g, "\n");
}
