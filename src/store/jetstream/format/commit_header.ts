/**
 * The stored form of commits: one message for each actor of a commit.
 *
 * The body is the JSON array of the events. The header `Aether` has the rest, in fields separated by a space: the
 * format's version, the commit's random id, the actor's version before it, the number of events, the actor's newest
 * fencing token (followed by `u` if the commit itself has none), the versions if they are not consecutive
 * (else `-`), the trail (`-` if it is empty), and the checksum: the CRC-32, in hexadecimal, of the log's id,
 * the body, the subject, the sequence that the server had to expect, and all fields before it.
 *
 * A repair is a commit without events that passes over messages which other programs have published to the actor's
 * subject. In place of the versions it has `~`, the sequence of the actor's last commit before them (0 without one), a
 * comma, and how many they are. Its guard is the sequence of the last of them.
 *
 * @module
 */

import { decodeEvents } from "../../../event/codec.ts";
import type { StoredEvent } from "../../../event/types.ts";
import type { StoredPart } from "../../continuity.ts";
import { Trail } from "./trail.ts";

/** The header that makes a message a commit. */
export const COMMIT_HEADER = "Aether";

/** The version of this form. */
export const FORMAT = "1";

/** The most events that a commit may hold: a header that names more is no commit of this library. */
export const MAX_EVENTS = 1_000;

/** The places of fields in the header. */
const COMMIT_ID = 1;
const VERSIONS = 5;
const TRAIL = 6;

/** How the list of a repair begins. */
export const REPAIR = "~";
export const REPAIR_LIST = /^~([0-9]{1,16}),([0-9]{1,16})$/;

/** The header of a commit, and its place in the stream. */
export class CommitHeader {
  readonly actorId: string;
  /** The stream sequence. */
  readonly sequence: number;
  /** The actor's version before the commit. */
  readonly previousVersion: number;
  /** The versions of its events. */
  readonly versions: readonly number[];
  /** The actor's newest fencing token, 0 without one. */
  readonly fence: number;
  /**
   * The stream sequence of the actor's commit before; 0 without one. The server has checked it, unless this is a repair,
   * which passes over what is stored after it.
   */
  readonly previousSequence: number;
  readonly checksum: number;
  readonly #value: string;

  constructor(
    { actorId, sequence, previousVersion, versions, fence, previousSequence, checksum, value }: HeaderFields,
  ) {
    this.actorId = actorId;
    this.sequence = sequence;
    this.previousVersion = previousVersion;
    this.versions = versions;
    this.fence = fence;
    this.previousSequence = previousSequence;
    this.checksum = checksum;
    this.#value = value;
  }

  /** The commit's random id. */
  get commitId(): string {
    return this.#value.split(" ", COMMIT_ID + 1)[COMMIT_ID]!;
  }

  /** How many messages it passes over as a repair; 0 if it is none. */
  get passedOver(): number {
    if (this.versions.length > 0) return 0;
    const list = REPAIR_LIST.exec(this.#value.split(" ", VERSIONS + 1)[VERSIONS]!);
    return list ? Number(list[2]) : 0;
  }

  /** The earlier commits of the actor; `undefined` if the trail is wrong, and they have to be searched for. */
  get trail(): Trail | undefined {
    const text = this.#value.split(" ", TRAIL + 1)[TRAIL]!; // decoded only here: reads of the log do not need it
    const trail = text === "-" ? Trail.EMPTY : Trail.decode(text);
    return trail?.previous === this.previousSequence ? trail : undefined;
  }
}

/** A commit with its events. */
export class StoredCommit extends CommitHeader implements StoredPart {
  readonly events: readonly StoredEvent[];

  /**
   * @param list The content of its body.
   * @param positionOf Returns the position of the event at an index.
   * @throws {SyntaxError} If these are not the events that the header describes.
   */
  constructor(header: HeaderFields, list: unknown, positionOf: (index: number) => string) {
    super(header);
    this.events = decodeEvents(list, this.actorId, this.versions, positionOf);
  }
}

/** The fields of a header whose checksum matches. */
export interface HeaderFields extends Omit<CommitHeader, "commitId" | "passedOver" | "trail"> {
  /** The whole header value. */
  readonly value: string;
}

/** The version of the actor after a commit. */
export function versionAfter({ previousVersion, versions }: CommitHeader): number {
  return versions.at(-1) ?? previousVersion;
}
