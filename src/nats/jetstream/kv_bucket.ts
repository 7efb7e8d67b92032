/**
 * A key-value bucket (ADR-8) by compare-and-set: values are read from the leader of its stream, and are written only if
 * the key has not changed since. It speaks the protocol itself, because the update of the stock client drops the time to
 * live and its reads may be stale.
 *
 * @module
 */

import { abortable } from "../../abortable.ts";
import { backoff, sleep } from "../../sleep.ts";
import { encodeHeaders, type HeaderField } from "../headers.ts";
import { FIRST_WAIT, LONGEST_WAIT } from "../patience.ts";
import { AcknowledgementReader, type PublishOutcome } from "./acknowledgement.ts";
import type { JetStreamAddress } from "./address.ts";
import { isConflict, isMomentary } from "./error_codes.ts";
import { EXPECTED_SEQUENCE, KEY_VALUE_OPERATION, MARKER_REASON, TIME_TO_LIVE } from "./header_names.ts";
import type { Publisher } from "./publisher.ts";
import { JetStreamApiError, NoAnswerError, StreamNotFoundError } from "./api_errors.ts";
import type { JetStreamRequests } from "./requests.ts";
import type { MessageQuery, StreamConfig, StreamInfo } from "./api_types.ts";
import { retryTransient } from "./retry.ts";
import type { StoredMessage } from "./stored_message.ts";
import { findOrCreateStream } from "./streams.ts";

/** How often a change is tried against other writers, and against a server that does not answer. */
const MAX_TRIES = 50;
/** How often a key without a readable message is compared with what the server counts. */
const COUNT_TRIES = 2;
/** How long the look after an acknowledgement that did not come may take, in milliseconds. */
const LOOK_TIME = 500;
const MS_PER_SECOND = 1_000;

/** The name of the stream behind a bucket. */
export function bucketStream(bucket: string): string {
  return `KV_${bucket}`;
}

/** What a bucket is used through. */
export interface KvBucketSetup {
  /** The stream behind it. */
  readonly stream: string;
  /** Reads. */
  readonly requests: JetStreamRequests;
  /** Writes. */
  readonly publisher: Publisher;
  /** The JetStream that it is in. */
  readonly address: JetStreamAddress;
  /** The domain that acknowledgements must name, if it is known. */
  readonly domain: string | undefined;
  /** How long a read may wait for a leader or a connection, in milliseconds. */
  readonly patience: number;
  /**
   * How the stream is created, before the first change. A stream that does not exist yet counts as an empty one. Without
   * it, a stream that does not exist is an error.
   */
  readonly config?: StreamConfig;
}

/** How a value is written. */
export interface KvPutOptions {
  /** The sequence of the message that is replaced; 0 if there must be none. */
  readonly expected: number;
  /** How long the value lives, in milliseconds, rounded up to whole seconds. @default {forever} */
  readonly ttl?: number | undefined;
  /** Whether it is the mark of a removal. @default {false} */
  readonly isRemoval?: boolean;
  /** How long the answer may take at most, in milliseconds. @default {the publisher's timeout} */
  readonly timeout?: number | undefined;
}

/** What to store in place of a value; `undefined` leaves it as it is. */
export type Replacement = Uint8Array | undefined;

/** The part of a stream's information that counts messages by subject, a page of it. */
interface StreamSubjects {
  readonly total?: number;
  readonly state: { readonly subjects?: Readonly<Record<string, number>> | null };
}

/** A bucket. Its keys are whole subjects, such as `$KV.<bucket>.<key>`. */
export class KvBucket {
  readonly #setup: KvBucketSetup;
  readonly #answers: AcknowledgementReader;
  #created: Promise<unknown> | undefined;

  constructor(setup: KvBucketSetup) {
    this.#setup = setup;
    this.#answers = new AcknowledgementReader(setup.stream, setup.domain);
  }

  /** The last message of a key, or of all keys that a filter chooses, from the leader. */
  get(subject: string, signal?: AbortSignal): Promise<StoredMessage | undefined> {
    return this.#get({ last_by_subj: subject }, signal);
  }

  /**
   * The last message of a key, from the leader; `"unreadable"` if it counts one that it cannot read. A read finds none
   * then either, and a value that is stored in its place with 0 as the expected sequence is taken.
   */
  async find(subject: string, signal?: AbortSignal): Promise<StoredMessage | "unreadable" | undefined> {
    for (let attempt = 1;; attempt++) {
      const message = await this.get(subject, signal);
      if (message || await this.count(subject, signal) === 0) return message;
      // Perhaps it was stored between both questions.
      if (attempt === COUNT_TRIES) return "unreadable";
    }
  }

  /** The last messages of all keys that a filter chooses, from the leader. The server searches for each: use it if they are few. */
  async getEach(filter: string, signal?: AbortSignal): Promise<StoredMessage[]> {
    const last = await this.get(filter, signal);
    if (!last) return [];
    const found = [last];
    for (let seq = 1;;) {
      const next = await this.#get({ next_by_subj: filter, seq }, signal);
      // One that is written in the meantime takes a later place.
      if (!next) return found;
      if (next.sequence !== last.sequence) found.push(next);
      seq = next.sequence + 1;
    }
  }

  /**
   * All keys that a filter chooses, by the index of the leader: also those whose message it cannot read, of which `get` finds
   * none.
   */
  async keys(filter: string, signal?: AbortSignal): Promise<string[]> {
    const { requests, stream, config } = this.#setup;
    const keys: string[] = [];
    for (;;) {
      const page = { subjects_filter: filter, offset: keys.length };
      const read = (): Promise<StreamSubjects> => requests.request(`STREAM.INFO.${stream}`, page);
      try {
        const { state, total = 0 } = await this.#retry(read, signal);
        const found = Object.keys(state.subjects ?? {});
        keys.push(...found);
        if (found.length === 0 || keys.length >= total) return keys;
      } catch (error) {
        if (config && error instanceof StreamNotFoundError) return [];
        throw error;
      }
    }
  }

  /** The stream behind it; `undefined` if it is made by the first change, and has not been. */
  async info(signal?: AbortSignal): Promise<StreamInfo | undefined> {
    const { requests, stream, config } = this.#setup;
    try {
      return await this.#retry(() => requests.streamInfo(stream), signal);
    } catch (error) {
      if (config && error instanceof StreamNotFoundError) return undefined;
      throw error;
    }
  }

  /** How many keys they are. */
  async count(filter: string, signal?: AbortSignal): Promise<number> {
    return (await this.keys(filter, signal)).length;
  }

  /**
   * The last messages of all keys that a filter chooses, one after another, from the leader. One that is written in the
   * meantime is left out.
   */
  async *each(filter: string, signal?: AbortSignal): AsyncGenerator<StoredMessage> {
    const last = await this.get(filter, signal);
    for (let seq = 1; last && seq <= last.sequence;) {
      const next = await this.#get({ next_by_subj: filter, seq }, signal);
      if (!next || next.sequence > last.sequence) return;
      yield next;
      seq = next.sequence + 1;
    }
  }

  /** Repeats a read while it cannot be answered, until it is aborted or the bucket is closed. */
  #retry<T>(read: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const { requests: { closing }, patience } = this.#setup;
    const ending = signal ? AbortSignal.any([signal, closing]) : closing;
    return retryTransient(patience, read, undefined, ending);
  }

  async #get(query: MessageQuery, signal: AbortSignal | undefined): Promise<StoredMessage | undefined> {
    const { requests, stream, config } = this.#setup;
    try {
      return await this.#retry(() => requests.getMessage(stream, query), signal);
    } catch (error) {
      if (config && error instanceof StreamNotFoundError) return undefined;
      throw error;
    }
  }

  /**
   * Stores a value in place of the message that is expected, in one try. Without a timeout of the call, a value that is
   * found in place although no acknowledgement came counts as stored: once a key has a message that the server cannot read,
   * it acknowledges none of the later ones.
   *
   * @throws {PayloadTooLargeError} If the server does not take a message of that size.
   * @throws {NotConnectedError} If the connection is closed, or stays down for longer than the timeout.
   * @throws {NoAnswerError} If the answer takes longer than the timeout of the call.
   */
  async put(subject: string, data: Uint8Array, options: KvPutOptions): Promise<PublishOutcome> {
    const { timeout } = options;
    if (timeout === undefined) {
      return await this.#look(subject, data, options, await this.#put(subject, data, options));
    }
    const ending = new AbortController();
    const timer = setTimeout(() => ending.abort(new NoAnswerError(subject, "timeout")), timeout);
    try {
      return await abortable(this.#put(subject, data, options, ending.signal), ending.signal);
    } finally {
      clearTimeout(timer);
    }
  }

  #put(
    subject: string,
    data: Uint8Array,
    { expected, ttl, isRemoval }: KvPutOptions,
    signal?: AbortSignal,
  ): Promise<PublishOutcome> {
    const { publisher, address } = this.#setup;
    const fields: HeaderField[] = [[EXPECTED_SEQUENCE, String(expected)]];
    if (isRemoval) fields.push([KEY_VALUE_OPERATION, "DEL"]);
    if (ttl !== undefined) fields.push([TIME_TO_LIVE, `${Math.ceil(ttl / MS_PER_SECOND)}s`]);
    const message = { subject: address.writePrefix + subject, data, headers: encodeHeaders(fields) };
    return publisher.publish(message, { answers: this.#answers, ...(signal && { signal }) });
  }

  /** Looks whether a value is stored that was not acknowledged. */
  async #look(
    subject: string,
    data: Uint8Array,
    { expected }: KvPutOptions,
    outcome: PublishOutcome,
  ): Promise<PublishOutcome> {
    if (outcome.status !== "unknown" || outcome.cause !== "timeout") return outcome;
    const ending = new AbortController();
    const timer = setTimeout(() => ending.abort(), LOOK_TIME);
    const stored = await this.get(subject, ending.signal).catch(() => {});
    clearTimeout(timer);
    if (!stored || stored.sequence <= expected || !isEqual(stored.data, data)) return outcome;
    return { status: "stored", sequence: stored.sequence, duplicate: true };
  }

  /**
   * Changes the value of a key. The stream is created before the first change.
   *
   * @param replace Returns what to store, given what is stored. It is called again if another writer came first, and if
   * it is unknown whether its value was stored.
   * @param signal Ends every wait but that for the answer to what was sent: it rejects with the signal's reason.
   */
  async change(
    subject: string,
    replace: (stored: StoredMessage | undefined) => Replacement,
    signal?: AbortSignal,
  ): Promise<void> {
    let sent: Uint8Array | undefined;
    for (let attempt = 1;; attempt++) {
      await abortable(this.#create(), signal);
      const stored = await this.get(subject, signal);
      // A server never acknowledges what it stores in place of a message that it cannot read.
      if (sent && stored && isEqual(stored.data, sent)) return;
      const data = replace(stored);
      if (!data) return;
      const outcome = await this.#put(subject, data, { expected: stored?.sequence ?? 0 });
      if (outcome.status === "stored") return;
      if (outcome.status === "refused") {
        const { code, description } = outcome;
        const mayPass = isConflict(code) || isMomentary(code);
        if (!mayPass || attempt === MAX_TRIES) throw new JetStreamApiError(subject, code, description);
      } else {
        if (attempt === MAX_TRIES) throw new NoAnswerError(subject, outcome.cause);
        this.#created = undefined; // the stream was perhaps deleted
        sent = data;
      }
      await sleep(backoff(attempt, FIRST_WAIT, LONGEST_WAIT), signal);
    }
  }

  #create(): Promise<unknown> {
    const { requests, stream, patience, config } = this.#setup;
    if (!config) return Promise.resolve();
    return this.#created ??= findOrCreateStream(requests, stream, patience, () => config).catch((error) => {
      this.#created = undefined;
      throw error;
    });
  }
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** Whether a message marks a key as removed or expired. */
export function isRemoval(header: (name: string) => string | undefined): boolean {
  const operation = header(KEY_VALUE_OPERATION);
  return operation === "DEL" || operation === "PURGE" || Boolean(header(MARKER_REASON));
}
