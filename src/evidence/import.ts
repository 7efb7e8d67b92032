/**
 * From an export into a store.
 *
 * @module
 */

import type { Event } from "../event/types.ts";
import { checkFunction, checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { loadChecksum } from "../store/checksum.ts";
import type { EventStore } from "../store/types.ts";
import type { ExportProgress } from "./export_types.ts";
import { ExportReader } from "./export_reader.ts";
import { type ExportSource, openSource } from "./export_stream.ts";
import { ImportLog } from "./import_log.ts";
import type { ImportReport } from "./import_report.ts";
import { readPublicKey } from "./signer.ts";
import { checkSignature, verifyLines } from "./verify_export.ts";

/**
 * What can be asked of an import.
 *
 * @category Evidence
 */
export interface ImportOptions {
  /** The public key that the trailer must be signed with. @default {the signature is not looked at} */
  readonly key?: string;
  /** Called every 1,000 events, and at the end. */
  readonly onProgress?: (progress: ExportProgress) => void;
  /** Ends the import with the signal's reason. Run it again to go on. */
  readonly signal?: AbortSignal;
}

const OPTIONS: OptionNames<ImportOptions> = { key: true, onProgress: true, signal: true };

/**
 * Stores the events of an export: ids, types, data, versions with their gaps, times, metadata, schema versions and fencing tokens
 * stay as they are, and nothing is announced on a bus. In the end, the store is read again and compared, and verifies itself.
 *
 * A file is verified before anything is stored. Of a stream that is cut or changed, what comes before is stored: import the
 * whole one afterwards. It can be killed at any moment and run again: what is stored already is compared, and the rest stored.
 *
 * Which events came in one commit is not kept: commits are as large as the order and the store's limits allow.
 *
 * @example From a file
 * ```ts
 * import { exportEvents, importEvents, InMemoryEventStore } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * const folder = await Deno.makeTempDir();
 * await using from = new InMemoryEventStore();
 * await from.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 * await exportEvents(from, `${folder}/orders.ndjson`);
 *
 * await using to = new InMemoryEventStore();
 * assert.equal((await importEvents(`${folder}/orders.ndjson`, to)).imported, 1);
 * assert.equal((await importEvents(`${folder}/orders.ndjson`, to)).imported, 0); // again: all is stored
 * await Deno.remove(folder, { recursive: true });
 * ```
 *
 * @param source A path, or a stream. Whether it is compressed is seen by its first bytes.
 * @param store Where the events go: empty, or with what an earlier import left.
 * @param options The public key, progress and abort.
 * @throws {ExportError} If it is no whole export, with the line; or if it is not signed with the key.
 * @throws {CopyError} If the store holds something else.
 * @throws {DamagedHistoryError} If the store is damaged.
 * @throws {EventTooLargeError} If an event is larger than the store takes.
 * @throws {OutcomeUnknownError | BackendError} If the store could not be reached. Run it again.
 * @throws {InvalidArgumentError} If an option cannot be used.
 *
 * @category Evidence
 */
export async function importEvents<E extends Event>(
  source: ExportSource,
  store: EventStore<E>,
  options?: ImportOptions,
): Promise<ImportReport> {
  const { key, ...checked } = readOptions(options, checkImport);
  const publicKey = key === undefined ? undefined : readPublicKey(key, "options.key");
  const { signal } = checked;
  if (!(source instanceof ReadableStream)) {
    await verifyLines(source, { key: publicKey, ...(signal && { signal }) });
  }
  const log = new ImportLog(store, checked);
  const reader = new ExportReader(await loadChecksum(), signal);
  try {
    for await (const { parts } of reader.commits(await openSource(source))) await log.take(parts);
    if (publicKey) checkSignature(reader, publicKey);
    await log.flush();
    return await log.compareAll();
  } catch (error) {
    if (!signal?.aborted) await log.flush().catch(() => {}); // what comes before the fault
    await log.end();
    throw error;
  }
}

/** Returns the options as they were read. */
function checkImport({ ...options }: ImportOptions): ImportOptions {
  checkKnown<ImportOptions>(options, OPTIONS);
  checkFunction("options.onProgress", options.onProgress);
  checkSignal(options.signal);
  return options;
}
