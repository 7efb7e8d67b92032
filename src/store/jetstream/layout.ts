/**
 * Where a namespace's events and records lie on a server.
 *
 * @module
 */

import {
  actorPrefixFilter,
  decodeActorId,
  encodeActorId,
  encodeNamespace,
  encodeToken,
} from "../../event/subject.ts";

/** The names of a namespace's stream, of its bucket, and of the subjects in them. */
export class Layout {
  /** The stream of the events. */
  readonly stream: string;
  /** The first levels of every event's subject. */
  readonly base: string;
  /** The key-value bucket beside it: snapshots, and what is remembered of actors whose events have expired. */
  readonly bucket: string;
  /** The stream that is the bucket. */
  readonly bucketStream: string;

  /**
   * @param prefix One or more plain levels.
   * @param namespace A valid namespace.
   */
  constructor(prefix: string, namespace: string) {
    const token = encodeNamespace(namespace);
    this.base = `${prefix}.${token}`;
    this.stream = `${prefix.replaceAll(".", "_")}_${token}`;
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
   * The actor of a subject.
   *
   * @throws {InvalidArgumentError} If it is none of an actor.
   */
  actorId(subject: string): string {
    return decodeActorId(subject.slice(this.base.length + 1));
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

  /** The key of a snapshot. Records name their log: they are nothing to a stream that is created anew. */
  snapshot(logId: string, actorId: string, kind: string): string {
    return `$KV.${this.bucket}.${logId}.snapshot.${encodeToken(kind)}.${encodeActorId(actorId)}`;
  }

  /** All snapshots of an actor. */
  snapshots(logId: string, actorId: string): string {
    return `$KV.${this.bucket}.${logId}.snapshot.*.${encodeActorId(actorId)}`;
  }

  /** The key of what is remembered of an actor. */
  actorRecord(logId: string, actorId: string): string {
    return `$KV.${this.bucket}.${logId}.actor.${encodeActorId(actorId)}`;
  }

  /** The key of how far the log was swept. */
  sweepRecord(logId: string): string {
    return `$KV.${this.bucket}.${logId}.sweep`;
  }
}
