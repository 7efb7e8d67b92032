/**
 * Which JetStream is meant: that of the server itself, of another domain, or one that the account imports.
 *
 * @module
 */

import { InvalidArgumentError } from "../../errors.ts";
import type { NatsConnection } from "../connection.ts";

/** Which JetStream is meant. */
export interface JetStreamAddressOptions {
  /** The JetStream domain, if it is not the server's own: on a leaf node, the hub's. @default {the server's own} */
  readonly domain?: string;
  /**
   * The first levels of the subjects of the JetStream API, if the account imports it under another name, such as
   * `JS.main.API`. Key-value buckets are then written under `<apiPrefix>.$KV.<bucket>.<key>`, as the stock client does.
   * Not together with `domain`.
   *
   * @default {"$JS.API"}
   */
  readonly apiPrefix?: string;
}

/** The subjects of one JetStream. */
export interface JetStreamAddress {
  /** The JetStream domain, if one was given. */
  readonly domain: string | undefined;
  /** The first levels of the API's subjects. */
  readonly apiPrefix: string;
  /** What precedes the subject `$KV.<bucket>.<key>` when it is written; reads and filters name the subject alone. */
  readonly writePrefix: string;
}

const DEFAULT_API_PREFIX = "$JS.API";
const LEVELS = /^[A-Za-z0-9_$-]+(\.[A-Za-z0-9_$-]+)*$/;

/**
 * The subjects of a JetStream.
 *
 * @throws {InvalidArgumentError} If the domain or the prefix cannot be one, or both are given.
 */
export function jetStreamAddress({ domain, apiPrefix }: JetStreamAddressOptions = {}): JetStreamAddress {
  if (domain !== undefined && !(typeof domain === "string" && /^[A-Za-z0-9_-]+$/.test(domain))) {
    throw new InvalidArgumentError("options.domain", 'must be letters, digits, "_" and "-"');
  }
  if (apiPrefix !== undefined && !(typeof apiPrefix === "string" && LEVELS.test(apiPrefix))) {
    throw new InvalidArgumentError("options.apiPrefix", "must be levels of a subject, such as JS.main.API");
  }
  if (domain !== undefined && apiPrefix !== undefined) {
    throw new InvalidArgumentError(
      "options.apiPrefix",
      "cannot be combined with domain: leave one of them out",
    );
  }
  const prefix = apiPrefix ?? (domain === undefined ? DEFAULT_API_PREFIX : `$JS.${domain}.API`);
  return { domain, apiPrefix: prefix, writePrefix: prefix === DEFAULT_API_PREFIX ? "" : `${prefix}.` };
}

/**
 * The domain that acknowledgements must name; `undefined` if there is none, or it is not known: with an API prefix of
 * another account it is not that of the server.
 */
export function acknowledgedDomain(
  { domain, writePrefix }: JetStreamAddress,
  { info }: NatsConnection,
): string | undefined {
  return domain ?? (writePrefix === "" ? info?.domain : undefined);
}
