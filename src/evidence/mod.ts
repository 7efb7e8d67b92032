/**
 * Evidence: what shows to others that a log is complete and unchanged, and what lets a person's data be forgotten without
 * changing it.
 *
 * @example Seal a log, and verify it
 * ```ts
 * import { generateSealKey, SealFolder, sealOnce, verifySealedLog } from "@flowmade-one/aether/evidence";
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 *
 * const { privateKey, publicKey } = generateSealKey("example.com/orders");
 * const folder = new SealFolder(await Deno.makeTempDir());
 * await sealOnce(store, folder, { signer: { key: privateKey } });
 * const { ok, verified } = await verifySealedLog(store, folder, { key: publicKey });
 * assert.deepEqual([ok, verified], [true, 1]);
 * ```
 *
 * @module
 */

export * from "../store/mod.ts";
export {
  generateSealKey,
  type SealKey,
  type SealKeyOptions,
  type Signer,
  type SignerSource,
} from "./signer.ts";
export { SealError } from "./errors.ts";
export type { SealPlace } from "./place.ts";
export { SealBucket, type SealBucketOptions } from "./seal_bucket.ts";
export { SealFolder } from "./seal_folder.ts";
export { sealLog, sealOnce, type SealRun } from "./seal.ts";
export type { SealLogOptions, SealOptions, VerifySealOptions } from "./seal_options.ts";
export type { SealReport } from "./sealer.ts";
export { type SealFault, type SealVerification, verifySeal } from "./verify_seal.ts";
export {
  type SealedLogVerification,
  verifySealedLog,
  type VerifySealedLogOptions,
} from "./verify_sealed_log.ts";
export { proveEvent, type ProveOptions } from "./prove_event.ts";
export { type ProvedEvent, verifyProof, type VerifyProofOptions } from "./verify_proof.ts";
export type { NatsConnection } from "../nats/connection.ts";
export type { NamedBucketOptions } from "../cluster/jetstream/open.ts";
export type { Lease, LeaseOptions, LeaseStatus, LeaseStore } from "../cluster/lease.ts";
export { exportEvents } from "./export.ts";
export type { ExportOptions, ExportProgress, ExportReport } from "./export_types.ts";
export { ExportError } from "./export_errors.ts";
export type { ExportSource } from "./export_stream.ts";
export { importEvents, type ImportOptions } from "./import.ts";
export type { ImportReport } from "./import_report.ts";
export { verifyExport, type VerifyExportOptions } from "./verify_export.ts";
export { Vault } from "./vault.ts";
export type { VaultOptions } from "./vault_options.ts";
export type { ForgetOptions, ForgetReport, PersonForgotten } from "./forgetting.ts";
export type { MasterKey } from "./vault_keys.ts";
