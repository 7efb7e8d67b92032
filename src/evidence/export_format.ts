/**
 * The form of an export: text, one JSON object a line.
 *
 * ```text
 * {"aether":"export","format":1,"namespace":"default",...}         the header
 * {"commit":1,"parts":[{"actorId","token"?,"events":[...]}],...}   a commit, or a token that is stored alone
 * {"trailer":{"commits","events","lines","lastPosition"?,"root","note"?},...}
 * ```
 *
 * Each line ends with `"prev"`, the first half of the hash of the line before, and `"sum"`, the CRC-32 of the line up to there:
 * a line that was changed is found by its sum, and one that is missing or from elsewhere by `prev`. The hash of a line is that
 * of a leaf of RFC 6962, and `root` that of the tree over all lines before the trailer. `note` is a signed note
 * (c2sp.org/signed-note) with the counts and the root.
 *
 * @module
 */

import { schemaVersionOf } from "../event/registry.ts";
import type { StoredEvent } from "../event/types.ts";
import type { LogPart } from "../store/backend.ts";
import { type Checksum, checksumText } from "../store/checksum.ts";
import { utf8 } from "../text.ts";
import { concat } from "./bytes.ts";
import { isOf, readSignature, signatureLine } from "./note.ts";
import type { NoteSigner, PublicKey } from "./signer.ts";
import { fromDigest, leafDigest, MerkleTree } from "./tree.ts";

/** The version of this form. */
export const EXPORT_FORMAT = 1;
/** The digits of a hash that the next line repeats. */
const PREVIOUS_DIGITS = 32;
/** What the first line has in place of the hash of the line before. */
const NO_PREVIOUS = "0".repeat(PREVIOUS_DIGITS);

/** How a line ends. */
export const LINE_END = /,"prev":"([0-9a-f]{32})","sum":"([0-9a-f]{8})"\}$/;
/** The bytes of what the sum does not cover: `,"sum":"xxxxxxxx"}`. */
export const SUM_BYTES = 18;

/** What the trailer counts. */
export interface ExportCounts {
  /** Commits with events. */
  readonly commits: number;
  /** Events. */
  readonly events: number;
  /** Lines before the trailer. */
  readonly lines: number;
  /** The position of the last event; `undefined` if there is none. */
  readonly lastPosition: string | undefined;
}

/** The lines of an export so far: what the next one has to follow, and what the trailer has to repeat. */
export class ExportChain {
  readonly #tree = new MerkleTree();
  /** What the next line has as `prev`. */
  previous = NO_PREVIOUS;
  commits = 0;
  events = 0;
  lastPosition: string | undefined;

  /** The counts so far. */
  get counts(): ExportCounts {
    const { commits, events, lastPosition } = this;
    return { commits, events, lastPosition, lines: this.#tree.size };
  }

  /** The root over the lines so far, as base64. */
  get root(): string {
    return this.#tree.root().toBase64();
  }

  /** Adds a line. */
  add(line: Uint8Array): void {
    const digest = leafDigest(line);
    this.#tree.append(fromDigest(digest));
    this.previous = digest.slice(0, PREVIOUS_DIGITS);
  }

  /** Counts the commit of a line. */
  count(parts: readonly ExportedPart[]): void {
    let any = false;
    for (const { events } of parts) {
      if (events.length === 0) continue;
      any = true;
      this.events += events.length;
      this.lastPosition = events[events.length - 1]!.position;
    }
    if (any) this.commits++;
  }
}

/** An event in an export. */
export interface ExportedEvent extends Omit<StoredEvent, "actorId"> {
  readonly schemaVersion?: number;
}

/** One actor's part of a commit, in an export. */
export interface ExportedPart {
  readonly actorId: string;
  /** The actor's newest token; absent if it has none. */
  readonly token?: number;
  /** Its events; none if the token is stored alone. */
  readonly events: readonly ExportedEvent[];
}

/**
 * Writes a line, without the line break.
 *
 * @param body A JSON object without its last brace.
 */
export function encodeLine(body: string, previous: string, checksum: Checksum): Uint8Array {
  const covered = utf8(`${body},"prev":"${previous}"`);
  return concat(covered, utf8(`,"sum":"${checksumText(checksum(covered))}"}`));
}

/** The body of the first line. */
export function headerBody(namespace: string): string {
  return `{"aether":"export","format":${EXPORT_FORMAT},"namespace":${JSON.stringify(namespace)}`;
}

/** The body of a commit's line. */
export function commitBody(commit: number, parts: readonly LogPart[]): string {
  const exported = parts.map(({ actorId, fence, events }): ExportedPart => ({
    actorId,
    ...(fence > 0 && { token: fence }),
    events: events.map(exportedEvent),
  }));
  return `{"commit":${commit},"parts":${JSON.stringify(exported)}`;
}

function exportedEvent(event: StoredEvent): ExportedEvent {
  const { id, eventType, version, data, timestamp, metadata, position } = event;
  const schemaVersion = schemaVersionOf(event);
  return {
    ...{ version, id, eventType, timestamp, position, data },
    ...(metadata && { metadata }),
    ...(schemaVersion !== 1 && { schemaVersion }),
  };
}

/** The body of the trailer. */
export function trailerBody(counts: ExportCounts, root: string, note: string | undefined): string {
  return `{"trailer":${JSON.stringify({ ...counts, root, ...(note !== undefined && { note }) })}`;
}

/** The text of the note: its first line names what it is, so that the note of a sealed log is none of an export. */
export function noteText(namespace: string, counts: ExportCounts, root: string): string {
  const { lines, commits, events, lastPosition = "" } = counts;
  return `aether-export/${namespace}\n${lines}\n${root}\n` +
    `commits ${commits}\nevents ${events}\nposition ${lastPosition}\n`;
}

/** A signed note. */
export async function signNote(text: string, signer: NoteSigner, time: number): Promise<string> {
  return `${text}\n${await signatureLine(text, time, signer)}`;
}

/** Whether a note is of a text, and is signed by a key. */
export function isSignedBy(note: string, text: string, key: PublicKey): boolean {
  if (!note.startsWith(`${text}\n`)) return false;
  return note.slice(text.length + 1).split("\n").some((line) => {
    const found = readSignature(line);
    return found !== undefined && isOf(found, key) && key.verify(text, found.signature);
  });
}
