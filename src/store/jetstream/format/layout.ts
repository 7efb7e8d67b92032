/**
 * Where the events and records of a log are stored on a server.
 *
 * @module
 */

import { InvalidArgumentError } from "../../../errors.ts";
import {
  actorPrefixFilter,
  decodeActorId,
  encodeActorId,
  encodeNamespace,
  encodeToken,
} from "../../../event/subject.ts";

/** Replaces the actor's id in messages that only check conditions. It is not a valid id. */
export const NO_ACTOR = "";

/** The name of a namespace's stream. */
export function streamName(prefix: string, namespace: string): string {
  return `${prefix.replaceAll(".", "_")}_${encodeNamespace(namespace)}`;
}

/**
 * The names of a namespace's stream, of its bucket, and of the subjects in them. The log's id is a level of every
 * event's subject, and the stream has no other subjects: a message for another log finds no stream, even if both streams
 * have the same name.
 */
export class Layout {
  /** The stream of the events. */
  readonly stream: string;
  /** The id of the log in it. */
  readonly logId: string;
  /** The first levels of every event's subject. */
  readonly base: string;
  /** The key-value bucket of its snapshots, and of what is remembered of actors whose events have expired. */
  readonly bucket: string;
  /** The stream of the bucket. */
  readonly bucketStream: string;

  /**
   * @param prefix One or more plain levels.
   * @param namespace A valid namespace.
   * @param logId The id of the log.
   */
  constructor(prefix: string, namespace: string, logId: string) {
    this.logId = logId;
    this.base = `${prefix}.${encodeNamespace(namespace)}.${logId}`;
    this.stream = streamName(prefix, namespace);
    this.bucket = this.stream;
    this.bucketStream = `KV_${this.bucket}`;
  }

  /** All subjects of the stream. */
  get all(): string {
    return `${this.base}.>`;
  }

  /** The subject of an actor. */
  subject(actorId: string): string {
    return `${this.base}.${encodeActorId(actorId)}`;
  }

  /**
   * The actor of a subject; {@linkcode NO_ACTOR} if it is that of conditions.
   *
   * @throws {InvalidArgumentError} If it is not the subject of an actor.
   */
  actorId(subject: string): string {
    if (subject === this.noActor) return NO_ACTOR;
    if (!this.holds(subject)) throw new InvalidArgumentError("subject", `"${subject}" is not of this log`);
    return decodeActorId(subject.slice(this.base.length + 1));
  }

  /** The subject of conditions, and of messages that are not to be stored. It is not the subject of any actor id. */
  get noActor(): string {
    return `${this.base}.==`;
  }

  /** Whether a subject is of this log. */
  holds(subject: string): boolean {
    return subject.startsWith(this.base) && subject[this.base.length] === ".";
  }

  /** The subjects that the server filters by; `undefined` if it leaves out nothing. */
  filter({ actorId, actorPrefix = "" }: { actorId?: string; actorPrefix?: string }): string | undefined {
    if (actorId !== undefined) return this.subject(actorId);
    const filter = actorPrefixFilter(this.base, actorPrefix);
    return filter === this.all ? undefined : filter;
  }

  /** All subjects of the bucket. */
  get records(): string {
    return `$KV.${this.bucket}.>`;
  }

  /** The key of a snapshot. The log's id is a part of it, so that another log of the same name does not find it. */
  snapshot(actorId: string, kind: string): string {
    return `$KV.${this.bucket}.${this.logId}.snapshot.${encodeToken(kind)}.${encodeActorId(actorId)}`;
  }

  /** All snapshots of an actor. */
  snapshots(actorId: string): string {
    return `$KV.${this.bucket}.${this.logId}.snapshot.*.${encodeActorId(actorId)}`;
  }

  /** All snapshots of a kind. */
  snapshotsOfKind(kind: string): string {
    return `$KV.${this.bucket}.${this.logId}.snapshot.${encodeToken(kind)}.>`;
  }

  /** The key of what is remembered of an actor. */
  actorRecord(actorId: string): string {
    return `$KV.${this.bucket}.${this.logId}.actor.${encodeActorId(actorId)}`;
  }

  /** The key of the mark of the log's end. */
  get endRecord(): string {
    return `$KV.${this.bucket}.${this.logId}.end`;
  }

  /** The key of how far expiring actors were preserved. */
  get progressRecord(): string {
    return `$KV.${this.bucket}.${this.logId}.preserved`;
  }
}
