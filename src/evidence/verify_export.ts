/**
 * Whether an export is whole and unchanged: without a store.
 *
 * @module
 */

import { checkFunction, checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { loadChecksum } from "../store/checksum.ts";
import { ExportError } from "./export_errors.ts";
import { isSignedBy } from "./export_format.ts";
import { type ExportProgress, type ExportReport, REPORT_EVERY } from "./export_types.ts";
import { ExportReader } from "./export_reader.ts";
import { type ExportSource, openSource } from "./export_stream.ts";
import { type PublicKey, readPublicKey } from "./signer.ts";

/**
 * What can be asked of the verification of an export.
 *
 * @category Evidence
 */
export interface VerifyExportOptions {
  /** The public key that the trailer must be signed with. @default {the signature is not looked at} */
  readonly key?: string;
  /** Called every 1,000 events, and at the end. */
  readonly onProgress?: (progress: ExportProgress) => void;
  /** Ends the verification with the signal's reason. */
  readonly signal?: AbortSignal;
}

const OPTIONS: OptionNames<VerifyExportOptions> = { key: true, onProgress: true, signal: true };

/**
 * Reads an export and checks that it is whole and as it was written: nothing was cut off, changed, left out or added, and no
 * lines of other exports are in it. It needs no store, and the memory of one line.
 *
 * With a key it proves that the owner of the key has signed exactly these lines. Without one it finds accidents: a person
 * that changes a file can make new sums.
 *
 * @example The file and the public key are enough
 * ```ts
 * import { exportEvents, generateSealKey, InMemoryEventStore, verifyExport } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * const { privateKey, publicKey } = generateSealKey("example.com/orders");
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 *
 * const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
 * const [exported, verified] = await Promise.all([
 *   exportEvents(store, writable, { signer: { key: privateKey } }),
 *   verifyExport(readable, { key: publicKey }),
 * ]);
 * assert.deepEqual(verified, exported);
 * ```
 *
 * @param source A path, or a stream. Whether it is compressed is seen by its first bytes.
 * @param options The public key, progress and abort.
 * @throws {ExportError} If it is no whole export, with the line; or if it is not signed with the key.
 * @throws {InvalidArgumentError} If an option cannot be used.
 *
 * @category Evidence
 */
export async function verifyExport(
  source: ExportSource,
  options?: VerifyExportOptions,
): Promise<ExportReport> {
  const { key, ...checked } = readOptions(options, checkVerify);
  return await verifyLines(source, {
    ...checked,
    key: key === undefined ? undefined : readPublicKey(key, "options.key"),
  });
}

/** Returns the options as they were read. */
function checkVerify({ ...options }: VerifyExportOptions): VerifyExportOptions {
  checkKnown<VerifyExportOptions>(options, OPTIONS);
  checkFunction("options.onProgress", options.onProgress);
  checkSignal(options.signal);
  return options;
}

/** The same with a key that was read. */
interface Verification extends Omit<VerifyExportOptions, "key"> {
  readonly key: PublicKey | undefined;
}

/** Verifies the lines of an export. */
export async function verifyLines(
  source: ExportSource,
  { key, onProgress, signal }: Verification,
): Promise<ExportReport> {
  const reader = new ExportReader(await loadChecksum(), signal);
  const { chain } = reader;
  let reported = 0;
  for await (const _ of reader.commits(await openSource(source))) {
    if (chain.events - reported < REPORT_EVERY) continue;
    reported = chain.events;
    onProgress?.({ phase: "verifying", events: reported });
  }
  if (key) checkSignature(reader, key);
  onProgress?.({ phase: "verifying", events: chain.events });
  const { commits, events, lastPosition } = chain.counts;
  return { commits, events, lastPosition, root: chain.root };
}

/** Checks that the trailer is signed by a key. */
export function checkSignature(reader: ExportReader, key: PublicKey): void {
  const { note } = reader.trailer!;
  const line = reader.chain.counts.lines + 1;
  if (typeof note !== "string") throw new ExportError("unsigned", "the trailer has no signature", line);
  if (isSignedBy(note, reader.noteText, key)) return;
  throw new ExportError("signature", `no signature of "${key.name}" is right`, line);
}
