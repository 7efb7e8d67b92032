/**
 * How far an actor is: what its next commit must be guarded with.
 *
 * @module
 */

import { type ActorHead, NEW_ACTOR } from "../../commit.ts";
import { type CommitHeader, versionAfter } from "../format/commit_header.ts";
import { Trail } from "../format/trail.ts";

/** An actor's head, and its last commit in the stream. */
export interface Head extends ActorHead {
  /** The stream sequence of the actor's last commit; 0 if the stream has none. */
  readonly sequence: number;
  /** The trail of the commit that comes next. */
  readonly trail: Trail;
}

/** The head of an actor without commits. */
export const NEW_HEAD: Head = { ...NEW_ACTOR, sequence: 0, trail: Trail.EMPTY };

/** A head that a commit leaves behind. The trail of most heads is not needed before the next head replaces them. */
export class CommittedHead implements Head {
  readonly #before: Trail;

  readonly version: number;
  readonly fence: number;
  readonly sequence: number;

  /** @param before The trail of the commit. */
  constructor(version: number, fence: number, sequence: number, before: Trail) {
    this.version = version;
    this.fence = fence;
    this.sequence = sequence;
    this.#before = before;
  }

  /** The trail of the commit that comes next. */
  get trail(): Trail {
    return this.#before.after(this.sequence);
  }
}

/** The head that a commit leaves behind. */
export function headAfter(header: CommitHeader): Head {
  const { fence, sequence, trail = Trail.EMPTY } = header;
  return new CommittedHead(versionAfter(header), fence, sequence, trail);
}
