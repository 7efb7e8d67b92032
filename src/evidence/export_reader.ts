/**
 * Reading exports: line by line, each held against the one before, in bounded memory.
 *
 * @module
 */

import { type Checksum, checksumText } from "../store/checksum.ts";
import { concat } from "./bytes.ts";
import { ExportError } from "./export_errors.ts";
import {
  EXPORT_FORMAT,
  ExportChain,
  type ExportCounts,
  type ExportedPart,
  LINE_END,
  noteText,
  SUM_BYTES,
} from "./export_format.ts";
import { chunksOf, unpacked } from "./export_stream.ts";

/** The longest line that is read, in bytes: a commit of this library takes less. */
const MAX_LINE_BYTES = 64 * 1024 * 1024;
const NEW_LINE = 10;

/** The trailer of an export. */
export interface ExportTrailer extends ExportCounts {
  readonly root: string;
  readonly note?: string;
}

/** A commit of an export. */
export interface ExportedCommit {
  /** The number of its line. */
  readonly line: number;
  readonly parts: readonly ExportedPart[];
  /** How many bytes of the text end with it. */
  readonly bytes: number;
}

/** Reads one export. */
export class ExportReader {
  /** The lines so far. */
  readonly chain = new ExportChain();
  /** Whether a missing end is no fault: an export that was interrupted goes on there. */
  readonly #mayEnd: boolean;
  readonly #checksum: Checksum;
  readonly #signal: AbortSignal | undefined;
  /** The namespace of the store that it is of, once the header was read. */
  namespace = "";
  /** The trailer, once all was read. */
  trailer: ExportTrailer | undefined;
  #line = 0;
  #bytes = 0;

  constructor(checksum: Checksum, signal: AbortSignal | undefined, mayEnd = false) {
    this.#checksum = checksum;
    this.#signal = signal;
    this.#mayEnd = mayEnd;
  }

  /** How many bytes of text the header takes. */
  headerBytes = 0;

  /**
   * The commits, in order.
   *
   * @throws {ExportError} If a line is wrong; the first one ends it.
   */
  async *commits(stream: ReadableStream<Uint8Array>): AsyncGenerator<ExportedCommit, void, void> {
    for await (const lines of this.#lines(stream)) {
      for (const bytes of lines) {
        this.#line++;
        this.#bytes += bytes.length + 1;
        if (this.trailer) throw this.#fault("order", "it follows the trailer");
        const json = this.#read(bytes);
        if (this.#line === 1) this.#header(json, bytes);
        else if ("trailer" in json) this.#end(json["trailer"]);
        else yield this.#commit(json, bytes);
      }
    }
    if (this.trailer || this.#mayEnd) return;
    if (this.#line === 0) throw new ExportError("not-an-export", "the file is empty", 1);
    throw this.#fault("cut", "the file ends here, without a trailer");
  }

  #header(json: Readonly<Record<string, unknown>>, bytes: Uint8Array): void {
    const { format, namespace } = json;
    if (typeof namespace !== "string") throw this.#fault("changed", "it is not a header");
    if (format !== EXPORT_FORMAT) throw this.#fault("changed", `its format is ${format}`);
    this.namespace = namespace;
    this.headerBytes = bytes.length + 1;
    this.chain.add(bytes);
  }

  #commit(json: Readonly<Record<string, unknown>>, bytes: Uint8Array): ExportedCommit {
    const { commit, parts } = json;
    if (!isExportedParts(parts)) throw this.#fault("changed", "it is not a commit");
    this.chain.count(parts);
    const number = this.chain.commits;
    if (commit !== number) throw this.#fault("order", `it has commit ${commit}, and ${number} comes next`);
    this.chain.add(bytes);
    return { line: this.#line, parts, bytes: this.#bytes };
  }

  #end(trailer: unknown): void {
    const { counts, root } = this.chain;
    const found = trailer as ExportTrailer | null;
    const names = ["commits", "events", "lines", "lastPosition"] as const;
    const other = names.find((name) => found?.[name] !== counts[name]);
    if (other) {
      throw this.#fault(
        "order",
        `the trailer has ${other} ${found?.[other]}, and before it ${counts[other]}`,
      );
    }
    if (found!.root !== root) throw this.#fault("changed", "its root is not that of the lines before it");
    this.trailer = found!;
  }

  /** The text that the note of the trailer must have. */
  get noteText(): string {
    return noteText(this.namespace, this.chain.counts, this.chain.root);
  }

  /** Reads a line, and holds it against its sum and the line before. */
  #read(bytes: Uint8Array): Readonly<Record<string, unknown>> {
    let text: string;
    try {
      text = decoder.decode(bytes);
    } catch (cause) {
      throw this.#line === 1 ? this.#foreign() : this.#fault("changed", "it is not UTF-8", { cause });
    }
    if (this.#line === 1) this.#checkBeginning(text);
    const [, previous, sum] = LINE_END.exec(text.slice(-LINE_END_LENGTH)) ?? [];
    if (sum === undefined) throw this.#fault("changed", "it does not end like a line of an export");
    if (checksumText(this.#checksum(bytes.subarray(0, bytes.length - SUM_BYTES))) !== sum) {
      throw this.#fault("changed", "it is not as it was written");
    }
    if (previous !== this.chain.previous) throw this.#fault("order", "it does not follow the line before");
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw this.#fault("changed", "it is not JSON", { cause });
    }
  }

  #checkBeginning(text: string): void {
    const [, format] = /^\{"aether":"export","format":([0-9]{1,9}),/.exec(text) ?? [];
    if (format === undefined) throw this.#foreign();
    if (Number(format) > EXPORT_FORMAT) {
      throw this.#fault("newer-format", `its format is ${format}, and this version reads ${EXPORT_FORMAT}`);
    }
  }

  #foreign(): ExportError {
    return this.#fault("not-an-export", "it does not begin like an export");
  }

  #fault(reason: ExportError["reason"], message: string, options?: ErrorOptions): ExportError {
    return new ExportError(reason, message, Math.max(1, this.#line), options);
  }

  /** The lines of a text, which may be compressed: for each chunk those that end in it. */
  async *#lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<readonly Uint8Array[], void, void> {
    let rest: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of this.#chunks(stream)) {
      const lines: Uint8Array[] = [];
      let from = 0;
      for (let end = chunk.indexOf(NEW_LINE); end >= 0; end = chunk.indexOf(NEW_LINE, from)) {
        const last = chunk.subarray(from, end);
        lines.push(rest.length === 0 ? last : concat(...rest, last));
        rest = [];
        size = 0;
        from = end + 1;
      }
      yield lines;
      if (from === chunk.length) continue;
      rest.push(from === 0 ? chunk : chunk.subarray(from));
      size += chunk.length - from;
      if (size > MAX_LINE_BYTES) {
        this.#line++;
        throw this.#line === 1 ? this.#foreign() : this.#fault("changed", "it is longer than any commit");
      }
    }
    if (size === 0 || this.#mayEnd) return;
    this.#line++;
    if (this.#line === 1) this.#checkBeginning(new TextDecoder().decode(concat(...rest)));
    throw this.#fault("cut", "the file ends in the middle of it");
  }

  async *#chunks(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
    let isPacked = false;
    const source = chunksOf(await unpacked(stream, () => (isPacked = true), this.#signal), this.#signal);
    for (;;) {
      let next: IteratorResult<Uint8Array>;
      try {
        next = await source.next();
      } catch (cause) {
        // What was compressed and has no end, or is changed, cannot be unpacked.
        if (!isPacked || !(cause instanceof TypeError)) throw cause;
        if (this.#mayEnd) return;
        this.#line++;
        throw this.#fault("cut", "what follows cannot be decompressed", { cause });
      }
      if (next.done) return;
      yield next.value;
    }
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const LINE_END_LENGTH = 60;
function isExportedParts(value: unknown): value is readonly ExportedPart[] {
  return Array.isArray(value) && value.length > 0 && value.every(isExportedPart);
}

function isExportedPart(value: unknown): boolean {
  const part = value as Partial<ExportedPart> | null;
  return typeof part?.actorId === "string" && Array.isArray(part.events) &&
    (part.token === undefined || isCount(part.token)) &&
    (part.events.length > 0 || part.token !== undefined) &&
    part.events.every((event) =>
      typeof event === "object" && event !== null && typeof event.position === "string" &&
      (event.schemaVersion === undefined || (isCount(event.schemaVersion) && event.schemaVersion > 0))
    );
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}
