/**
 * What exports and imports take and return.
 *
 * @module
 */

import type { Checksum } from "../store/checksum.ts";
import type { RawLog } from "../store/raw_log.ts";
import type { NoteSigner, SignerSource } from "./signer.ts";

/** Events between two reports of progress. */
export const REPORT_EVERY = 1_000;

/**
 * How far an export or an import has come.
 *
 * @category Evidence
 */
export interface ExportProgress {
  /** What is being done: reading what an earlier run left, writing the rest, comparing it in the end. */
  readonly phase: "comparing" | "writing" | "verifying";
  /** How many events of the log have come through this phase. */
  readonly events: number;
}

/**
 * What can be asked of an export.
 *
 * @category Evidence
 */
export interface ExportOptions {
  /** Whether the file is compressed with gzip. @default {false} */
  readonly compress?: boolean;
  /** Signs the trailer, so that the export can be verified with the public key alone. @default {it is not signed} */
  readonly signer?: SignerSource;
  /** Called every 1,000 events, and at the end. */
  readonly onProgress?: (progress: ExportProgress) => void;
  /** Ends the export with the signal's reason. To a path, run it again to go on. */
  readonly signal?: AbortSignal;
}

/**
 * What an export has.
 *
 * @category Evidence
 */
export interface ExportReport {
  /** How many commits are in it. */
  readonly commits: number;
  /** How many events are in it. */
  readonly events: number;
  /** The position of the last event; `undefined` if there is none. */
  readonly lastPosition: string | undefined;
  /** The root of the RFC 6962 tree over its lines, as base64: two exports with the same root are the same. */
  readonly root: string;
}

/** What an export is made with. */
export interface ExportSetup {
  readonly log: RawLog;
  readonly namespace: string;
  readonly checksum: Checksum;
  readonly signer: NoteSigner | undefined;
  readonly compress: boolean;
  readonly onProgress?: ExportOptions["onProgress"];
  readonly signal?: AbortSignal;
}
