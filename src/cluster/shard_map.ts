/**
 * The shard map: the one record that says who owns which shard. Only the leader writes it, under compare-and-set, and every
 * version carries the fencing token of the leader that wrote it.
 *
 * @module
 */

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
  /** By shard; `undefined`: nobody owns it. */
  readonly assignments: readonly (Assignment | undefined)[];
}

/** The map as JSON: owners and tokens repeat, so they are listed once and referred to by index. */
interface Wire {
  readonly leader: string;
  readonly leaderToken: number;
  readonly genesis?: number;
  readonly owners: readonly (readonly [name: string, session: number])[];
  readonly tokens: readonly number[];
  /** By shard: [owner, token, revokedOver] as indexes, shortened to [owner, token] and to 0. */
  readonly shards: readonly (0 | readonly number[])[];
}

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
  const tokens = new Index<number>();
  const shards = map.assignments.map((assignment) => {
    if (assignment === undefined) return 0;
    const { owner, token, revokedOver } = assignment;
    const short = [owners.of(sessionKey(owner), [owner.name, owner.session]), tokens.of(token, token)];
    return revokedOver === 0 ? short : [...short, tokens.of(revokedOver, revokedOver)];
  });
  const { leader, leaderToken, genesis } = map;
  const wire: Wire = {
    leader,
    leaderToken,
    ...(genesis === undefined ? {} : { genesis }),
    owners: owners.list,
    tokens: tokens.list,
    shards,
  };
  return JSON.stringify(wire);
}

/** Reads a map; `undefined` for what is none. */
export function decodeShardMap(value: string | undefined): ShardMap | undefined {
  if (value === undefined) return undefined;
  try {
    const wire = JSON.parse(value) as Wire;
    const owners = wire.owners.map(([name, session]): Session => ({ name, session }));
    return {
      leader: wire.leader,
      leaderToken: wire.leaderToken,
      genesis: wire.genesis,
      assignments: wire.shards.map((shard) => {
        if (shard === 0) return undefined;
        const owner = owners[shard[0] ?? -1];
        const token = wire.tokens[shard[1] ?? -1];
        const revokedOver = shard[2] === undefined ? 0 : wire.tokens[shard[2]];
        if (owner === undefined || token === undefined || revokedOver === undefined) throw new RangeError();
        return { owner, token, revokedOver };
      }),
    };
  } catch {
    return undefined;
  }
}

/** A session as one string. */
export function sessionKey({ name, session }: Session): string {
  return `${session} ${name}`;
}
