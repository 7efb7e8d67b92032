/**
 * Where the library may keep what belongs to a store's events and is no event: in the storage that the store has open.
 *
 * @module
 */

/** The open storage of a store. */
export type SideStorage =
  | {
    /** Memory. */
    readonly type: "memory";
    /** Lives as long as the events, and is the same object for every store over them. */
    readonly owner: object;
  }
  | {
    /** A database. */
    readonly type: "deno-kv";
    /** An open handle. */
    readonly kv: Deno.Kv;
    /** The first parts of every key of the store. */
    readonly base: readonly [string, string];
  }
  | {
    /** A NATS system. */
    readonly type: "jetstream";
    /** The connection, which is a `NatsConnection`. */
    readonly connection: object;
    /** The JetStream that the stream is in, which is a `JetStreamAddress`. */
    readonly address: object;
    /** The name of the bucket next to the stream: others begin with it. */
    readonly bucket: string;
    /** How many servers keep the stream. */
    readonly replicas: number;
  };

/** What a store offers. */
export interface StoreSide {
  /** Gives the time of events without a timestamp, if the user gave a function for it. */
  readonly now: (() => Date) | undefined;
  /** The storage. */
  readonly storage: SideStorage;
}

/** The same key in every copy of the library; a proxy around a store passes it through. */
const SIDE = Symbol.for("@flowmade-one/aether/store-side/1");

/** Offers a store's storage to the rest of the library. */
export function offerSide(store: object, side: StoreSide): void {
  Object.defineProperty(store, SIDE, { value: side });
}

/** What a store offers; `undefined` for a store that is not one of the library's. */
export function sideOf(store: object): StoreSide | undefined {
  return (store as { readonly [SIDE]?: StoreSide })[SIDE];
}
