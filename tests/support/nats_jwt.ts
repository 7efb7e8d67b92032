/**
 * Credentials of an operator, an account and a user as NATS issues them: signed JSON Web Tokens.
 *
 * @module
 */
import { nkeys } from "@nats-io/nats-core";

type KeyPair = ReturnType<typeof nkeys.createUser>;

/** A server in operator mode, and a user of its account. */
export interface IssuedCredentials {
  /** Fields of the server's configuration. */
  readonly config: Record<string, unknown>;
  /** The text of the user's credentials file. */
  readonly credentials: string;
  /** The seed in it. */
  readonly seed: string;
}

/** Issues an operator, an account and a user. */
export function issueCredentials(): IssuedCredentials {
  const [operator, account, user] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createUser()];
  const system = nkeys.createAccount();
  const unlimited = { subs: -1, data: -1, payload: -1 };
  const accountClaims = {
    type: "account",
    limits: { ...unlimited, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 },
  };
  const accountToken = token(operator, account, accountClaims);
  const userToken = token(account, user, { type: "user", pub: {}, sub: {}, ...unlimited });
  const seed = new TextDecoder().decode(user.getSeed());
  return {
    config: {
      operator: token(operator, operator, { type: "operator" }),
      resolver: "MEMORY",
      resolver_preload: {
        [account.getPublicKey()]: accountToken,
        [system.getPublicKey()]: token(operator, system, accountClaims),
      },
      system_account: system.getPublicKey(),
    },
    credentials: `-----BEGIN NATS USER JWT-----\n${userToken}\n------END NATS USER JWT------\n\n` +
      `-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`,
    seed,
  };
}

function token(issuer: KeyPair, subject: KeyPair, claims: Record<string, unknown>): string {
  const header = encoded({ typ: "JWT", alg: "ed25519-nkey" });
  const body = encoded({
    jti: crypto.randomUUID(),
    iat: Math.floor(Date.now() / 1_000),
    iss: issuer.getPublicKey(),
    name: "test",
    sub: subject.getPublicKey(),
    nats: { version: 2, ...claims },
  });
  const signature = issuer.sign(new TextEncoder().encode(`${header}.${body}`));
  return `${header}.${body}.${signature.toBase64({ alphabet: "base64url", omitPadding: true })}`;
}

function encoded(value: unknown): string {
  return new TextEncoder().encode(JSON.stringify(value)).toBase64({
    alphabet: "base64url",
    omitPadding: true,
  });
}
