/**
 * The key-value bucket beside a stream of events: what is kept there is read from its leader and changed by
 * compare-and-set.
 *
 * @module
 */

import { backoff, sleep } from "../../../sleep.ts";
import { abortable } from "../../../abortable.ts";
import { BackendError } from "../../errors.ts";
import { FIRST_WAIT, LONGEST_WAIT } from "../../../nats/patience.ts";
import { ErrorCode, isConflict, isMomentary } from "../../../nats/jetstream/error_codes.ts";
import { retryTransient } from "../failures.ts";
import { encodeHeaders } from "../../../nats/headers.ts";
import type { JetStreamAddress } from "../../../nats/jetstream/address.ts";
import type { Layout } from "../format/layout.ts";
import { AcknowledgementReader } from "../../../nats/jetstream/acknowledgement.ts";
import type { Publisher, PublishOptions } from "../../../nats/jetstream/publisher.ts";
import { EXPECTED_SEQUENCE } from "../../../nats/jetstream/header_names.ts";
import {
  JetStreamApiError,
  type JetStreamRequests,
  type MessageQuery,
  StreamNotFoundError,
} from "../../../nats/jetstream/requests.ts";
import type { StoredMessage } from "../../../nats/jetstream/stored_message.ts";

/** How often a record is tried against other writers, and against a server that does not answer. */
const MAX_TRIES = 50;

/** What is to be stored in place of a record; undefined leaves it as it is. */
export type Replacement = Uint8Array | undefined;

/** What the bucket works with. */
export interface BucketParts {
  /** Where the records are. */
  readonly layout: Layout;
  /** Reads them. */
  readonly requests: JetStreamRequests;
  /** Writes them. */
  readonly publisher: Publisher;
  /** The JetStream that they are in. */
  readonly address: JetStreamAddress;
  /** The domain that acknowledgements must name, if it is known. */
  readonly domain: string | undefined;
  /** How many servers keep the bucket, when it is made. */
  readonly replicas: number;
  /** How long to wait for a leader or a connection, in milliseconds. */
  readonly patience: number;
}

/** Reads and changes records. */
export class Bucket {
  readonly #layout: Layout;
  readonly #requests: JetStreamRequests;
  readonly #publisher: Publisher;
  readonly #address: JetStreamAddress;
  readonly #options: PublishOptions;
  readonly #replicas: number;
  readonly #patience: number;
  #created: Promise<void> | undefined;

  constructor({ layout, requests, publisher, address, domain, replicas, patience }: BucketParts) {
    this.#layout = layout;
    this.#requests = requests;
    this.#publisher = publisher;
    this.#address = address;
    this.#options = { answers: new AcknowledgementReader(layout.bucketStream, domain) };
    this.#replicas = replicas;
    this.#patience = patience;
  }

  /** The record of a key, from the leader. A bucket that was never written to has none. */
  get(key: string, signal?: AbortSignal): Promise<StoredMessage | undefined> {
    return this.#get({ last_by_subj: key }, signal);
  }

  /** The records of all keys that a filter chooses, from the leader. The server searches for them: use it where they are few. */
  async getEach(filter: string, signal?: AbortSignal): Promise<StoredMessage[]> {
    const last = await this.get(filter, signal);
    if (!last) return [];
    const found = [last];
    for (let seq = 1;;) {
      const next = await this.#get({ next_by_subj: filter, seq }, signal);
      // One that is written meanwhile takes a later place.
      if (!next) return found;
      if (next.sequence !== last.sequence) found.push(next);
      seq = next.sequence + 1;
    }
  }

  /** The records that a filter chooses, one after another, from the leader. One that is written meanwhile is left out. */
  async *each(filter: string, signal: AbortSignal): AsyncGenerator<StoredMessage> {
    const last = await this.get(filter, signal);
    for (let seq = 1; last && seq <= last.sequence;) {
      const next = await this.#get({ next_by_subj: filter, seq }, signal);
      if (!next || next.sequence > last.sequence) return;
      yield next;
      seq = next.sequence + 1;
    }
  }

  async #get(query: MessageQuery, signal: AbortSignal | undefined): Promise<StoredMessage | undefined> {
    const read = (): Promise<StoredMessage | undefined> =>
      this.#requests.getMessage(this.#layout.bucketStream, query);
    try {
      return await retryTransient(this.#patience, read, undefined, signal);
    } catch (error) {
      if (error instanceof StreamNotFoundError) return undefined;
      throw error;
    }
  }

  /**
   * Changes the record of a key by compare-and-set.
   *
   * @param replace What to store, given what is there. It is called again where another writer came first, and where it
   * is unknown whether what it had said was stored.
   * @param signal Ends every wait but that for the answer to what was sent: it rejects with the signal's reason.
   */
  async change(
    key: string,
    replace: (stored: StoredMessage | undefined) => Replacement,
    signal?: AbortSignal,
  ): Promise<void> {
    let failure: unknown;
    for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
      await abortable(this.#create(), signal);
      const stored = await this.get(key, signal);
      const data = replace(stored);
      if (!data) return;
      const headers = encodeHeaders([[EXPECTED_SEQUENCE, String(stored?.sequence ?? 0)]]);
      const subject = this.#address.writePrefix + key;
      const outcome = await this.#publisher.publish({ subject, data, headers }, this.#options);
      if (outcome.status === "stored") return;
      if (outcome.status === "refused" && !isConflict(outcome.code) && !isMomentary(outcome.code)) {
        throw new JetStreamApiError(key, outcome.code, outcome.description);
      }
      failure = outcome;
      // Perhaps the bucket was deleted: it is looked for again, and created.
      if (outcome.status === "unknown") this.#created = undefined;
      await sleep(backoff(attempt, FIRST_WAIT, LONGEST_WAIT), signal);
    }
    throw new BackendError("bucket", `the record "${key}" could not be changed: ${JSON.stringify(failure)}`);
  }

  /** Creates the bucket before the first change. */
  #create(): Promise<void> {
    return this.#created ??= this.#createOnce().catch((error) => {
      this.#created = undefined;
      throw error;
    });
  }

  /** A user who may not create streams finds the bucket that an operator has made. */
  async #createOnce(): Promise<void> {
    try {
      await retryTransient(this.#patience, () => this.#requests.streamInfo(this.#layout.bucketStream));
      return;
    } catch (error) {
      if (!(error instanceof StreamNotFoundError)) throw error;
    }
    try {
      await retryTransient(this.#patience, () =>
        this.#requests.createStream({
          name: this.#layout.bucketStream,
          description: "Snapshots of Aether, and what it remembers of actors whose events have expired",
          subjects: [this.#layout.records],
          retention: "limits",
          storage: "file",
          discard: "new",
          num_replicas: this.#replicas,
          max_msgs_per_subject: 1,
          max_age: 0,
          deny_delete: true,
          allow_rollup_hdrs: true,
          allow_direct: true,
        }));
    } catch (error) {
      // It is there, and perhaps an operator has changed its limits, which are theirs to choose.
      if (!(error instanceof JetStreamApiError) || error.code !== ErrorCode.streamNameInUse) throw error;
    }
  }
}
