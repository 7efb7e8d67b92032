/**
 * Who leads a stream, and since when. A leader that is deposed does not notice it at once, and a new one may answer before
 * it has applied its log: what they answer is certain only after some time.
 *
 * @module
 */

import { FIRST_WAIT, LONGEST_WAIT } from "../../../nats/patience.ts";
import type { StreamInfo } from "../../../nats/jetstream/api_types.ts";
import { backoff, sleep } from "../../../sleep.ts";
import { NANOSECONDS } from "../retention/retention.ts";

/**
 * No other leader is elected before a follower has heard nothing for this long, in milliseconds (4 to 9 s by the
 * server's source). A leader that a majority has heard since then is the leader.
 */
const SHORTEST_ELECTION = 3_000;
/** A new leader may answer before it has applied its log. It is asked again for this long, in milliseconds. */
const TIME_TO_CATCH_UP = 2_000;
/** A leader that is cut off notices it after 10 s (by the server's source), in milliseconds. */
const MAX_STALE_LEADER_MS = 15_000;
/** For how long it counts that there is only one leader, in milliseconds. */
const SETTLED_VALIDITY = 500;

/** Asks the server that answers for the stream. */
type AskStream = () => Promise<StreamInfo>;

/** The leader that answers. */
interface Leader {
  /** Whether there are other replicas, of which one could lead. */
  readonly hasFollowers: boolean;
  /** Whether it has heard from a majority too recently for another election. */
  readonly isConfirmed: boolean;
  /** For how long it has led, in milliseconds; NaN if it is not known. */
  readonly age: number;
}

/** What is known of the leader of one stream. */
export class Leadership {
  /** Until when, on the clock of `performance.now()`, it counts that there is only one leader. */
  #settledUntil = -Infinity;

  /**
   * Repeats a read that returns less than is known to be stored, as long as it may come from a deposed leader that has
   * not noticed it. Only a confirmed leader may report that something is lost.
   *
   * @param signal Ends the wait with its reason.
   */
  async upToDate<T>(
    read: () => Promise<T>,
    isBehind: (found: T) => boolean,
    ask: AskStream,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const deadline = performance.now() + MAX_STALE_LEADER_MS;
    let confirmedSince = Infinity;
    let before = performance.now();
    for (let attempt = 1;; attempt++) {
      const found = await read();
      if (!isBehind(found)) return found;
      const { hasFollowers, isConfirmed } = leaderOf(await ask());
      const now = performance.now();
      if (!hasFollowers || now > deadline) return found;
      // In a longer pause, as of a leader that was suspended, another one may have been elected.
      const isSameLeader = isConfirmed && now - before < SHORTEST_ELECTION;
      if (isSameLeader && now > confirmedSince + TIME_TO_CATCH_UP) return found;
      if (!isSameLeader) confirmedSince = Infinity;
      if (isConfirmed) confirmedSince = Math.min(now, confirmedSince);
      before = now;
      await sleep(backoff(attempt, FIRST_WAIT, LONGEST_WAIT), signal);
    }
  }

  /**
   * Whether there has been one leader for long enough. For a moment after an election the former leader still takes what is
   * published, and refuses what the new one stores: a publication has two answers then. A single server is asked too,
   * because an operator may have given the stream more replicas.
   */
  async isSettled(ask: AskStream): Promise<boolean> {
    const now = performance.now();
    if (now < this.#settledUntil) return true;
    try {
      const { hasFollowers, isConfirmed, age } = leaderOf(await ask());
      const isSettled = !hasFollowers || (isConfirmed && age > MAX_STALE_LEADER_MS);
      if (isSettled) this.#settledUntil = now + SETTLED_VALIDITY;
      return isSettled;
    } catch {
      return false;
    }
  }
}

function leaderOf({ cluster, ts = "" }: StreamInfo): Leader {
  const replicas = cluster?.replicas ?? [];
  const heard = replicas.filter(({ active = Infinity }) => active / NANOSECONDS < SHORTEST_ELECTION);
  return {
    hasFollowers: replicas.length > 0,
    isConfirmed: heard.length + 1 > (replicas.length + 1) / 2,
    age: Date.parse(ts) - Date.parse(cluster?.leader_since ?? ""),
  };
}
