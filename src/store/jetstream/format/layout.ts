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

/** What stands for an actor in messages that check conditions, and store nothing that a reader sees: no actor's id. */
export const NO_ACTOR = "";

/** The name of a namespace's stream. */
export function streamName(prefix: string, namespace: string): string {
  return `${prefix.replaceAll(".", "_")}_${encodeNamespace(namespace)}`;
}

/**
 * The names of a namespace's stream, of its bucket, and of the subjects in them. The log's id is a level of every
 * event's subject, and the stream hears no other: a message for another log finds no stream, whatever its name.
 */
export class Layout {
  /** The stream of the events. */
  readonly stream: string;
  /** The id of the log in it. */
  readonly logId: string;
  /** The first levels of every event's subject. */
  readonly base: string;
  /** The key-value bucket beside it: snapshots, and what is remembered of actors whose events have expired. */
  readonly bucket: string;
  /** The stream that is the bucket. */
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
   * The actor of a subject; {@linkcode NO_ACTOR} if it is of conditions.
   *
   * @throws {InvalidArgumentError} If it is none of an actor.
   */
  actorId(subject: string): string {
    if (subject === this.noActor) return NO_ACTOR;
    if (!this.holds(subject)) throw new InvalidArgumentError("subject", `"${subject}" is not of this log`);
    return decodeActorId(subject.slice(this.base.length + 1));
  }

  /** The subject of what is no actor's: conditions of commits, and what is not to be stored. No actor id encodes to it. */
  get noActor(): string {
    return `${this.base}.==`;
  }

  /** Whether a subject is of this log. */
  holds(subject: string): boolean {
    return subject.startsWith(this.base) && subject[this.base.length] === ".";
  }

  /** The subjects that the server is to filter by; undefined where that leaves out nothing. */
  filter({ actorId, actorPrefix = "" }: { actorId?: string; actorPrefix?: string }): string | undefined {
    if (actorId !== undefined) return this.subject(actorId);
    const filter = actorPrefixFilter(this.base, actorPrefix);
    return filter === this.all ? undefined : filter;
  }

  /** All subjects of the bucket. */
  get records(): string {
    return `$KV.${this.bucket}.>`;
  }

  /** The key of a snapshot. Records name their log: they mean nothing to a log that is made in its place. */
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

  /** The key of how far the log was swept. */
  get progressRecord(): string {
    return `$KV.${this.bucket}.${this.logId}.preserved`;
  }
}
