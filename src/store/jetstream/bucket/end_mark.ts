/**
 * A durable mark of the log's end, stored in the bucket next to the stream. A server that rebuilds its index cuts a damaged
 * stream off without an error; the mark shows a store that is opened afterwards that the end is missing.
 *
 * @module
 */

import { abortable } from "../../../abortable.ts";
import { DamagedHistoryError, LogReplacedError } from "../../errors.ts";
import { NoAnswerError } from "../../../nats/jetstream/api_errors.ts";
import type { KvBucket } from "../../../nats/jetstream/kv_bucket.ts";
import { decodeChecked, encodeChecked } from "../format/checked_json.ts";
import type { JetStreamContext } from "../context.ts";
import type { StoredMessage } from "../../../nats/jetstream/stored_message.ts";

/** How often the mark is written while the log grows, in milliseconds. */
const INTERVAL = 5_000;
/** How long `close()` waits for the last mark, in milliseconds. */
const CLOSE_PATIENCE = 500;

/** The marked end. */
interface Mark {
  /** The stream sequence of the last commit. */
  readonly sequence: number;
  /** The checksum of that commit; absent if it cannot be read, or has expired. */
  readonly checksum?: number | undefined;
}

/** Writes the mark in the background, from `start()` to `close()`, and compares the log with it. */
export class EndMark {
  readonly #context: JetStreamContext;
  readonly #bucket: KvBucket;
  readonly #ending = new AbortController();
  #timer: ReturnType<typeof setInterval> | undefined;
  #writing: Promise<void> | undefined;
  #written = 0;
  /** Whether something is stored as the mark that no store has written. */
  #isUnreadable = false;

  /** @param bucket Where the mark is stored. */
  constructor(context: JetStreamContext, bucket: KvBucket) {
    this.#context = context;
    this.#bucket = bucket;
  }

  /**
   * Compares the log with the mark, and begins to write it.
   *
   * @param acceptLostTail Whether an operator accepts that the end is lost: the mark is then written again.
   * @throws {LogReplacedError} If the log ends before the mark, or another commit is stored there.
   */
  async start(acceptLostTail: boolean): Promise<void> {
    const lost = await this.find();
    if (lost && !acceptLostTail) throw lost.error;
    if (lost) await this.#replace();
    else if (this.#isUnreadable) void this.#write(this.#ending.signal);
    this.#timer = setInterval(() => void this.#write(this.#ending.signal), INTERVAL);
    Deno.unrefTimer(this.#timer);
  }

  /** What the log has lost, by its mark; `undefined` if nothing is, or there is no mark. */
  async find(signal?: AbortSignal): Promise<LostEnd | undefined> {
    const { log } = this.#context;
    let mark: Mark | undefined;
    try {
      const stored = await this.#bucket.get(log.layout.endRecord, signal);
      mark = this.#read(stored);
      this.#isUnreadable = !mark && await this.#isStored(stored, signal);
      if (this.#isUnreadable) this.#warnOfUnreadable();
    } catch (cause) {
      signal?.throwIfAborted();
      this.#warn("read", cause);
    }
    return mark && await this.#compare(mark, signal);
  }

  /** Whether something is stored as the mark. A key that an operator has deleted has no value. */
  async #isStored(stored: StoredMessage | undefined, signal: AbortSignal | undefined): Promise<boolean> {
    if (stored) return stored.data.length > 0;
    return await this.#bucket.count(this.#context.log.layout.endRecord, signal) > 0;
  }

  async #compare(
    { sequence, checksum }: Mark,
    signal: AbortSignal | undefined,
  ): Promise<LostEnd | undefined> {
    const { decoder } = this.#context;
    const log = this.#context.log.until(signal);
    const { stream } = log.layout;
    const end = await log.upToDate(() => log.lastSequence(), (last) => last < sequence);
    if (end < sequence) return endLost(stream, end, sequence);
    if (sequence === 0) return undefined;
    const message = await log.at(sequence);
    const header = message && decoder.header(message);
    if (!header || header instanceof DamagedHistoryError || checksum === undefined) return undefined;
    return header.checksum === checksum ? undefined : diverged(stream, sequence);
  }

  /** Writes the last mark, if the server answers in time. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#timer === undefined) return;
    const timer = setTimeout(() => this.#ending.abort(), CLOSE_PATIENCE);
    const { signal } = this.#ending;
    const write = async (): Promise<void> => {
      await this.#writing;
      await this.#write(signal);
    };
    await abortable(write(), signal).catch(() => {});
    clearTimeout(timer);
    this.#ending.abort();
  }

  /** Marks the last commit that this store has seen, unless a later one is marked, or the end if the mark is damaged. */
  #write(signal: AbortSignal): Promise<void> {
    return this.#writing ??= (this.#isUnreadable ? this.#replace(signal) : this.#writeOnce(signal))
      .catch((cause) => {
        if (!signal.aborted && !(cause instanceof LogReplacedError)) this.#warn("written", cause);
      })
      .finally(() => this.#writing = undefined);
  }

  async #writeOnce(signal: AbortSignal): Promise<void> {
    const log = this.#context.log.until(signal);
    const sequence = log.highest;
    if (sequence <= this.#written) return;
    const { endRecord } = log.layout;
    const message = await log.at(sequence);
    if (!message) return; // it has expired, or it is lost
    // The mark of another store is kept while it shows that something is lost.
    const mark = this.#read(await this.#bucket.get(endRecord, signal));
    if (mark && mark.sequence !== this.#written && await this.#compare(mark, signal)) return;
    const data = this.#encode(sequence, message);
    await this.#bucket.change(endRecord, (stored) => {
      return (this.#read(stored)?.sequence ?? 0) >= sequence ? undefined : data;
    }, signal);
    this.#written = sequence;
  }

  /** Marks the end that the log has now, even if it is before the one that is marked. */
  async #replace(signal?: AbortSignal): Promise<void> {
    const log = this.#context.log.until(signal);
    const sequence = await log.lastSequence();
    const data = this.#encode(sequence, sequence === 0 ? undefined : await log.at(sequence));
    await this.#bucket.change(log.layout.endRecord, () => data, signal);
    this.#isUnreadable = false;
  }

  #encode(sequence: number, message: StoredMessage | undefined): Uint8Array {
    const { decoder, checksum } = this.#context;
    const header = message && decoder.header(message);
    const isKnown = header !== undefined && !(header instanceof DamagedHistoryError);
    const mark: Mark = { sequence, ...(isKnown && { checksum: header.checksum }) };
    return encodeChecked(JSON.stringify(mark), checksum);
  }

  /** A mark as a store has written it: any user who may write to the bucket can put anything in its place. */
  #read(stored: StoredMessage | undefined): Mark | undefined {
    const mark = stored &&
      decodeChecked(stored.data, this.#context.checksum) as Partial<Mark> | null | undefined;
    if (!mark || !Number.isSafeInteger(mark.sequence) || mark.sequence! < 0) return undefined;
    const { checksum } = mark;
    if (checksum !== undefined && checksum !== checksum >>> 0) return undefined;
    return { sequence: mark.sequence!, checksum };
  }

  #warnOfUnreadable(): void {
    const { stream, bucketStream } = this.#context.log.layout;
    const message =
      `The mark of the log's end in the bucket "${bucketStream}" is damaged, or no store has written it: whether ` +
      `"${stream}" has lost its end is not known. Compare its last position with one that is kept elsewhere. The end is ` +
      "marked again.";
    this.#context.warn({ code: "end-mark-failed", message });
  }

  #warn(what: "read" | "written", cause: unknown): void {
    const { bucketStream } = this.#context.log.layout;
    const message =
      `The mark of the log's end cannot be ${what} in the bucket "${bucketStream}": a store that is opened later will ` +
      `not notice that the log has lost its end. ${
        cause instanceof NoAnswerError && cause.why === "closed"
          ? "Close the store before its connection."
          : "Give this user the permissions that the documentation lists."
      }`;
    this.#context.warn({ code: "end-mark-failed", message, cause });
  }
}

/** What a log has lost. */
export interface LostEnd {
  /** The sequence of the commit that is marked as the end. */
  readonly marked: number;
  /** What to do about it. */
  readonly error: LogReplacedError;
}

const ADVICE =
  "Restore a newer backup, or open the store with { acceptLostTail: true } to go on without them.";

function endLost(stream: string, end: number, marked: number): LostEnd {
  const message =
    `The stream "${stream}" ends at sequence ${end}, and was stored up to sequence ${marked}: the last ` +
    `${marked - end} commit(s) are missing. ${ADVICE}`;
  return { marked, error: new LogReplacedError(`stream "${stream}"`, "end-lost", message) };
}

function diverged(stream: string, marked: number): LostEnd {
  const message =
    `The stream "${stream}" has another commit at sequence ${marked} than the one that was stored there: it ` +
    `was restored to an earlier state and written to since, and commits are missing. ${ADVICE}`;
  return { marked, error: new LogReplacedError(`stream "${stream}"`, "diverged", message) };
}
