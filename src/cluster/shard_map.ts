/**
 * The shard map: the one record of which node owns which shard. Only the leader writes it, under compare-and-set, and every
 * version carries the fencing token of the leader that wrote it.
 *
 * @module
 */
import type { Entry } from "./bucket.ts";
import { isName } from "./names.ts";
import { decodeRecord, encodeRecord, isRevisionBefore } from "./record.ts";
import { MAX_SHARD_COUNT } from "./shard_of.ts";

/** The key of the shard map. */
export const MAP_KEY = "map";
const KIND = "map";

/** One incarnation of a node: a node that restarts under its old name has another session. */
export interface Session {
  /** The node's name. */
  readonly name: string;
  /** The fencing token of the lease that the incarnation lives under. */
  readonly session: number;
}

/** Who owns one shard. */
export interface Assignment {
  /** The owner. */
  readonly owner: Session;
  /**
   * The revision of the map that the granting version replaced. It was replaced only once, so that no two grants of a
   * shard share a token, and later grants have higher ones.
   */
  readonly token: number;
  /**
   * 0 while the shard is granted. Else the revision of the map that the revoking version replaced: an owner that has seen
   * any later revision knows that it has to let go.
   */
  readonly revokedOver: number;
}

/** One version of the shard map. */
export interface ShardMap {
  /** The name of the leader that wrote it. */
  readonly leader: string;
  /** The fencing token of the leader that wrote it. */
  readonly leaderToken: number;
  /**
   * The revision of the first version of this map; `undefined` in that version itself. Sessions that are older may own shards
   * under a map that was lost, until they have seen this one.
   */
  readonly genesis: number | undefined;
  /** By shard; `undefined`: no node owns it. */
  readonly assignments: readonly (Assignment | undefined)[];
}

/**
 * The map as JSON: assignments repeat, so each is listed once, and a shard is a number of a few digits. 16,384 shards
 * take 16 or 32 KiB.
 */
interface Wire {
  readonly leader: string;
  readonly leaderToken: number;
  readonly genesis?: number;
  readonly owners: readonly (readonly [name: string, session: number])[];
  /** Owner (an index), token, and the revision of the revocation, if there is one. */
  readonly grants: readonly (readonly [owner: number, token: number, revokedOver?: number])[];
  /** How many digits a shard takes. */
  readonly width: number;
  /** By shard: 0, or the number of its grant, counted from 1; in digits of base 64. */
  readonly shards: string;
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const BASE = DIGITS.length;
const VALUES: ReadonlyMap<string, number> = new Map([...DIGITS].map((digit, value) => [digit, value]));

class Index<T> {
  readonly list: T[] = [];
  readonly #positions = new Map<string | number, number>();

  of(key: string | number, value: T): number {
    let position = this.#positions.get(key);
    if (position === undefined) {
      position = this.list.push(value) - 1;
      this.#positions.set(key, position);
    }
    return position;
  }
}

/** Writes a map as text. */
export function encodeShardMap(map: ShardMap): string {
  const owners = new Index<readonly [string, number]>();
  const grants = new Index<Wire["grants"][number]>();
  const known = new Map<Assignment, number>();
  const numberOf = (assignment: Assignment): number => {
    const { owner, token, revokedOver } = assignment;
    const index = owners.of(sessionKey(owner), [owner.name, owner.session]);
    const grant = revokedOver === 0 ? [index, token] as const : [index, token, revokedOver] as const;
    const number = grants.of(grant.join(" "), grant) + 1;
    known.set(assignment, number);
    return number;
  };
  const numbers = map.assignments.map((assignment) =>
    assignment === undefined ? 0 : known.get(assignment) ?? numberOf(assignment)
  );
  let width = 1;
  while (BASE ** width <= grants.list.length) width++;
  const { leader, leaderToken, genesis } = map;
  const wire: Wire = {
    leader,
    leaderToken,
    ...(genesis === undefined ? {} : { genesis }),
    owners: owners.list,
    grants: grants.list,
    width,
    shards: numbers.map((number) => digits(number, width)).join(""),
  };
  return encodeRecord(KIND, wire);
}

/** The least that a map takes, in bytes, once all its shards are owned by one node. */
export function leastMapBytes(shardCount: number): number {
  const owner: Session = { name: "", session: Number.MAX_SAFE_INTEGER };
  const one: Assignment = { owner, token: Number.MAX_SAFE_INTEGER, revokedOver: 0 };
  const { MAX_SAFE_INTEGER: token } = Number;
  const assignments = new Array<Assignment>(shardCount).fill(one);
  return encodeShardMap({ leader: "", leaderToken: token, genesis: token, assignments }).length;
}

function digits(number: number, width: number): string {
  let text = "";
  let rest = number;
  while (text.length < width) {
    text = DIGITS.charAt(rest % BASE) + text;
    rest = Math.floor(rest / BASE);
  }
  return text;
}

/** Reads a map; `undefined` for a tombstone and for a record that cannot be read. */
export function decodeShardMap(entry: Entry | undefined): ShardMap | undefined {
  const fields = decodeRecord(KIND, entry?.value);
  if (entry === undefined || fields === undefined || !isWire(fields, entry.revision)) return undefined;
  const { leader, leaderToken, genesis } = fields;
  const sessions = fields.owners.map(([name, session]): Session => ({ name, session }));
  const known = fields.grants.map(([index, token, revokedOver = 0]): Assignment | undefined => {
    const owner = sessions[index];
    return owner && { owner, token, revokedOver };
  });
  const assignments = readShards(fields, known);
  return assignments && { leader, leaderToken, genesis, assignments };
}

/** Whether fields are those of a map, and no number in them is that of a later write. */
function isWire(
  fields: Record<string, unknown>,
  revision: number,
): fields is Record<string, unknown> & Wire {
  const { leader, leaderToken, genesis, owners, grants, width, shards } = fields;
  return typeof leader === "string" && isRevisionBefore(leaderToken, revision) &&
    (genesis === undefined || isRevisionBefore(genesis, revision)) &&
    Number.isInteger(width) && typeof shards === "string" &&
    isArrayOf(owners, ([name, session]) => isName(name) && isRevisionBefore(session, revision)) &&
    isArrayOf(
      grants,
      ([owner, token, revokedOver = 0]) =>
        typeof owner === "number" && isRevisionBefore(token, revision) &&
        (revokedOver === 0 || isRevisionBefore(revokedOver, revision)),
    );
}

function isArrayOf(value: unknown, isSound: (item: readonly unknown[]) => boolean): boolean {
  return Array.isArray(value) && value.every((item) => Array.isArray(item) && isSound(item));
}

function readShards(
  { width, shards }: Wire,
  grants: readonly (Assignment | undefined)[],
): (Assignment | undefined)[] | undefined {
  const count = shards.length / width;
  if (!Number.isInteger(count) || count < 1 || count > MAX_SHARD_COUNT) return undefined;
  const assignments: (Assignment | undefined)[] = [];
  for (let at = 0; at < shards.length; at += width) {
    let number = 0;
    for (let digit = at; digit < at + width; digit++) {
      number = number * BASE + (VALUES.get(shards.charAt(digit)) ?? NaN);
    }
    const assignment = grants[number - 1];
    if (number !== 0 && assignment === undefined) return undefined;
    assignments.push(assignment);
  }
  return assignments;
}

/** A session as one string. */
export function sessionKey({ name, session }: Session): string {
  return `${session} ${name}`;
}
