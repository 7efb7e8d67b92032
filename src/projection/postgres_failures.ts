/**
 * What failures of PostgreSQL mean, by their SQLSTATE. Both drivers keep it in the field `code` of their errors.
 *
 * @module
 */

import { AetherError, BackendError, ClosedError } from "../errors.ts";
import { transactionRefused } from "./errors.ts";

/**
 * `again`: the whole transaction may succeed if it is repeated. `server`: the server or the connection cannot go on, and this may
 * pass. `closed`: the caller has closed the pool. `statement`: anything else.
 */
export type PostgresFailure = "again" | "server" | "closed" | "statement";

/** Serialization failures and deadlocks. */
const AGAIN = /^40/;
/**
 * A connection that failed, a server that lacks resources, shuts down or is a standby, a session that was ended because it was idle
 * in its transaction, errors of the operating system and of PostgreSQL itself.
 */
const SERVER = /^(?:08|53|57P|58|XX|25006|25P03|25P04)/;
const SQLSTATE = /^[0-9A-Z]{5}$/;
/** The codes of Node.js and of npm:postgres for a connection that failed. */
const NO_CONNECTION =
  /^(?:CONNECTION_|CONNECT_TIMEOUT|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_|EHOST|ENET|ERR_SOCKET|ERR_STREAM)/;
/** npm:pg has no code for these. */
const NO_CONNECTION_TEXT =
  /connection (?:terminated|error|ended)|not queryable|timeout exceeded when trying to connect/i;
const POOL_CLOSED_CODE = /^CONNECTION_(?:ENDED|DESTROYED)$/;
const POOL_CLOSED_TEXT = /pool after calling end/i;

/** The SQLSTATE of an error of either driver; `undefined` if it is none of the server's. */
export function sqlStateOf(error: unknown): string | undefined {
  const code = codeOf(error);
  // A code of Node.js may have five letters too.
  return SQLSTATE.test(code) && !NO_CONNECTION.test(code) ? code : undefined;
}

function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === "string" ? code : "";
}

/** What kind of failure an error of either driver is. */
export function failureKind(error: unknown): PostgresFailure {
  const text = error instanceof Error ? error.message : String(error);
  const code = codeOf(error);
  if (POOL_CLOSED_CODE.test(code) || POOL_CLOSED_TEXT.test(text)) return "closed";
  const state = sqlStateOf(error);
  if (state === undefined) {
    return NO_CONNECTION.test(code) || NO_CONNECTION_TEXT.test(text) ? "server" : "statement";
  }
  return AGAIN.test(state) ? "again" : SERVER.test(state) ? "server" : "statement";
}

/** The typed error for a failed statement of the library's own. */
export function failureOf(error: unknown): unknown {
  if (error instanceof AetherError) return error;
  const kind = failureKind(error);
  if (kind === "closed") return new ClosedError("connection", { cause: error });
  const text = error instanceof Error ? error.message : String(error);
  const state = sqlStateOf(error);
  if (state === undefined || kind === "server") {
    return new BackendError("checkpoint", `PostgreSQL cannot be reached: ${text}`, {
      cause: error,
      reason: "unreachable",
    });
  }
  const advice = ADVICE.find(([pattern]) => pattern.test(state));
  if (!advice) return new BackendError("checkpoint", text, { cause: error });
  const [, reason, message] = advice;
  return new BackendError("checkpoint", `${message}: ${text}`, { cause: error, reason });
}

const ADVICE: readonly (readonly [RegExp, BackendError["reason"], string])[] = [
  [/^28/, "denied", "PostgreSQL refuses the credentials"],
  [
    /^42501/,
    "denied",
    "the user has no permission for the table aether_projection: grant SELECT, INSERT, UPDATE and DELETE on it",
  ],
  [/^(?:42P01|3F000|3D000)/, "refused", "no such table: aether_projection"],
];

/** The typed error for what the database refuses when the writes of handlers are kept or committed. */
export function refusalOf(cause: unknown): unknown {
  if (cause instanceof AetherError || failureKind(cause) !== "statement" || sqlStateOf(cause) === undefined) {
    return failureOf(cause);
  }
  return transactionRefused((cause as Error).message, { cause });
}
