/**
 * Why a file is not the export that it should be.
 *
 * @module
 */

import { registerClass } from "../copies.ts";
import { AetherError } from "../errors.ts";

/** What is wrong with a file, or with writing it. */
export type ExportFault =
  | "not-an-export"
  | "newer-format"
  | "cut"
  | "changed"
  | "order"
  | "unsigned"
  | "signature"
  | "unwritable";

const ADVICE: Readonly<Record<ExportFault, string>> = {
  "not-an-export": "Pass a file that exportEvents() has written.",
  "newer-format": "Read it with the version of Aether that wrote it, or a newer one.",
  cut: "Get the whole file, or export again: to the same path, the export goes on where it ended.",
  changed: "Get the file again from where it was exported to.",
  order:
    "Lines are missing, in another order, or from another file. Get the file again from where it was exported to.",
  unsigned: "Ask for an export that was made with a signer, or verify without a key.",
  signature: "Do not trust it, or pass the key that it was signed with.",
  unwritable: "What is written is kept: make room, and export to the same path again.",
};

/**
 * A file is no whole, unchanged export; or it could not be written.
 *
 * @example A line was changed
 * ```ts
 * import { exportEvents, ExportError, InMemoryEventStore, verifyExport } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 * const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
 * const [text] = await Promise.all([new Response(readable).text(), exportEvents(store, writable)]);
 *
 * const changed = new Blob([text.replace('"total":5', '"total":6')]).stream();
 * const error = await verifyExport(changed).catch((error: unknown) => error);
 * assert(error instanceof ExportError && error.reason === "changed");
 * assert.equal(error.line, 2);
 * ```
 *
 * @category Evidence
 */
export class ExportError extends AetherError {
  static {
    registerClass(this, "ExportError");
  }

  /**
   * `not-an-export`: it does not begin like one. `newer-format`: a newer version wrote it. `cut`: its end is missing.
   * `changed`: a line is not as it was written. `order`: a line does not follow the one before. `unsigned`, `signature`: the
   * trailer has no signature of the key, or a wrong one. `unwritable`: the export could not be written.
   */
  readonly reason:
    | "not-an-export"
    | "newer-format"
    | "cut"
    | "changed"
    | "order"
    | "unsigned"
    | "signature"
    | "unwritable";
  /** The line that it was found at, from 1; `undefined` if the export could not be written. */
  readonly line: number | undefined;

  /** Creates the error from what was found, and where. */
  constructor(reason: ExportFault, message: string, line?: number, options?: ErrorOptions) {
    const place = line === undefined ? "" : `Line ${line} of the export: `;
    super(`${place}${message}. ${ADVICE[reason]}`, options);
    this.reason = reason;
    this.line = line;
  }
}
