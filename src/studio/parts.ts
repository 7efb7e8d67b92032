/**
 * What a studio looks into, and what it may do.
 *
 * @module
 */

import type { Event } from "../event/types.ts";
import type { SealPlace } from "../evidence/place.ts";
import type { CheckpointStore } from "../projection/checkpoints.ts";
import type { Projection } from "../projection/projection.ts";
import type { EventStore } from "../store/types.ts";
import type { LeasePage, NodePicture } from "./api/mod.ts";

/** An actor's state at a version. */
export interface StateAt {
  /** The version. */
  readonly version: number;
  /** The state. */
  readonly state: unknown;
}

/** Folds an actor's events to its states at some versions, in the order of the versions. */
export type Fold = (
  actorId: string,
  versions: readonly number[],
  signal: AbortSignal,
) => Promise<readonly StateAt[]>;

/** Where the nodes, shards and leases of a cluster are looked up. */
export interface ClusterSource {
  /** The nodes and shards at the moment. It is asked several times a second. */
  picture(): Promise<NodePicture>;
  /** Some of the leases at the moment: those behind a key, in the order of their keys. */
  leases(after: string, limit: number): Promise<LeasePage>;
  /** The actors in memory by name of node, as far as it is known. */
  activeActors(): Promise<Readonly<Record<string, number>>>;
}

/** A projection whose handler is known, of any events and read model. */
export type AnyProjection = Projection<Event, unknown>;

/** What a studio looks into, and what it may do. */
export interface StudioParts {
  /** What it looks into, without secrets. */
  readonly target: string;
  /** The kind of store. */
  readonly backend: string;
  /** The log. */
  readonly store: EventStore;
  /** Folds by name. */
  readonly folds: ReadonlyMap<string, Fold>;
  /** The places of checkpoints; `undefined` if no place is known. */
  readonly checkpoints: (() => Promise<readonly CheckpointStore<unknown>[]>) | undefined;
  /** Projections whose handlers are known. */
  readonly projections: readonly AnyProjection[];
  /** The cluster; `undefined` if none is known. */
  readonly cluster: ClusterSource | undefined;
  /** Where the log's seal is; `undefined` if it is not known. */
  readonly seal: SealPlace | undefined;
  /** Whether something may be changed. */
  readonly write: boolean;
  /** Ends all streams, and what is held for the next page. */
  readonly signal: AbortSignal;
}
