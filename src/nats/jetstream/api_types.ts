/**
 * What the JetStream API takes and returns, in the server's own terms.
 *
 * @module
 */

/** Which message of a stream is meant. */
export type MessageQuery =
  /** The one with this stream sequence. */
  | { readonly seq: number }
  /** The last one of this exact subject. */
  | { readonly last_by_subj: string }
  /** The first one from this sequence on whose subject matches the filter. */
  | { readonly next_by_subj: string; readonly seq?: number };

/** A stream's configuration, in the server's own terms. */
export type StreamConfig = Readonly<Record<string, unknown>> & {
  /** The stream's name. */
  readonly name: string;
  /** How many servers keep it. */
  readonly num_replicas?: unknown;
  /** The most bytes that it may hold. */
  readonly max_bytes?: unknown;
  /** How long it keeps messages, in nanoseconds. */
  readonly max_age?: unknown;
  /** What its maker has noted. */
  readonly metadata?: unknown;
};

/** What the server reports about a stream. Its counts may be stale: the end of a log must not be taken from here. */
export interface StreamInfo {
  /** The configuration in force. */
  readonly config: StreamConfig;
  /** When the stream was created, RFC 3339: another stream of the same name has another time. */
  readonly created: string;
  /** The time by the server's clock, RFC 3339. */
  readonly ts?: string;
  /** Counts and sequences. */
  readonly state: {
    readonly messages: number;
    readonly bytes: number;
    readonly first_seq: number;
    readonly last_seq: number;
  };
  /** The replicas. A single server names itself as the leader, and no cluster. */
  readonly cluster?: {
    readonly name?: string;
    readonly leader?: string;
    /** Since when it leads, by its clock, RFC 3339. */
    readonly leader_since?: string;
    readonly replicas?: readonly {
      readonly name: string;
      readonly current: boolean;
      readonly offline?: boolean;
      readonly lag?: number;
      /** How long ago the leader has heard of it, in nanoseconds. */
      readonly active?: number;
    }[];
  };
}

/** A consumer's configuration, in the server's own terms. */
export type ConsumerConfig = Readonly<Record<string, unknown>> & {
  /** The consumer's name. */
  readonly name: string;
  /** Its only filter, if it has exactly one. */
  readonly filter_subject?: string;
};

/** What the server reports about a consumer that it has made. */
export interface ConsumerInfo {
  /** How many messages it is to deliver, by the server's index: also those that it cannot read. */
  readonly num_pending: number;
  /** What it has delivered so far. */
  readonly delivered?: { readonly consumer_seq: number };
  /** Where it runs; absent on a single server. */
  readonly cluster?: { readonly leader?: string };
}
