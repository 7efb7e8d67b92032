/**
 * What a leader decides: a pure function from what it knows to the next version of the shard map.
 *
 * **The argument.** A shard that has an owner is granted to another only over evidence that stays true
 * later in any case: either the owner's session is over, or the owner has written that it saw the revocation and has let go. The next
 * version is stored only if the version that was decided on is still the latest. So it does not matter whether the leader
 * still leads, nor how old the rest of its knowledge is.
 *
 * @module
 */
import type { NodeRecord } from "./node_record.ts";
import { place } from "./placement.ts";
import { type Assignment, type Session, sessionKey, type ShardMap } from "./shard_map.ts";

/** What the leader knows. */
export interface Knowledge {
  /** The latest version of the map. */
  readonly map: ShardMap;
  /** Its revision. */
  readonly revision: number;
  /** The revision of the latest version that the leader's watch has reported, with all that was written before it. */
  readonly seen: number;
  /** The latest record of every node, also of one that the latest snapshot left out. */
  readonly nodes: readonly NodeRecord[];
  /** Whether it is proved that a session is over. */
  isOver(session: Session): boolean;
}

/** The next version of the map, or `undefined` if this one is as it should be. */
export function allocate(knowledge: Knowledge): ShardMap | undefined {
  const { map, revision, isOver } = knowledge;
  const genesis = map.genesis ?? revision;
  const living = knowledge.nodes.filter((node) => !isOver(node));
  const candidates = living.filter((node) => node.weight > 0 && !node.draining)
    .sort((a, b) => a.name < b.name ? -1 : 1);
  const nodes = new Map(living.map((node) => [sessionKey(node), node]));
  const index = new Map(candidates.map((node, position) => [sessionKey(node), position]));
  const over = memo((session) => isOver(session));
  const releasing = memo((session) => new Set(nodes.get(sessionKey(session))?.releasing));

  const remaining = map.assignments.map((assignment, shard) =>
    assignment !== undefined && (over(assignment.owner) || hasLetGo(assignment, shard))
      ? undefined
      : assignment
  );

  function hasLetGo({ owner, revokedOver }: Assignment, shard: number): boolean {
    const node = nodes.get(sessionKey(owner));
    if (revokedOver === 0 || node === undefined) return false;
    return node.seen > revokedOver && !releasing(owner).has(shard);
  }

  // Under a map that was lost, older sessions may own anything until they have seen this one. So all of them must be known.
  const blocked = new Set<number>();
  let mayGrant = knowledge.seen >= genesis;
  for (const node of living) {
    if (node.session >= genesis) continue;
    if (node.seen < genesis) mayGrant = false;
    for (const shard of node.releasing) blocked.add(shard);
  }

  const target = place(
    remaining.map((assignment) => {
      if (assignment === undefined || assignment.revokedOver !== 0) return -1;
      return index.get(sessionKey(assignment.owner)) ?? -1;
    }),
    candidates,
  );
  const assignments = remaining.map((assignment, shard): Assignment | undefined => {
    const wanted = candidates[target[shard] ?? -1];
    if (assignment === undefined) {
      if (wanted === undefined || !mayGrant || blocked.has(shard)) return undefined;
      return { owner: { name: wanted.name, session: wanted.session }, token: revision, revokedOver: 0 };
    }
    const stays = assignment.revokedOver !== 0 ||
      (wanted !== undefined && sessionKey(wanted) === sessionKey(assignment.owner));
    return stays ? assignment : { ...assignment, revokedOver: revision };
  });
  const changed = assignments.some((assignment, shard) => assignment !== map.assignments[shard]);
  return changed || map.genesis === undefined ? { ...map, genesis, assignments } : undefined;
}

/** Remembers the answers about sessions: there are few of them and many shards. */
function memo<T>(answer: (session: Session) => T): (session: Session) => T {
  const known = new Map<string, T>();
  const byObject = new WeakMap<Session, T>();
  return (session) => {
    const fast = byObject.get(session);
    if (fast !== undefined) return fast;
    const key = sessionKey(session);
    let value = known.get(key);
    if (value === undefined) known.set(key, value = answer(session));
    byObject.set(session, value as T);
    return value;
  };
}
