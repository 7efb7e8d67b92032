/**
 * Forgetting a person: the keys are destroyed, and each erasure leaves a receipt.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { InvalidArgumentError } from "../errors.ts";
import type { Event, StoredEvent } from "../event/types.ts";
import { checkKnown, checkSignal, type OptionNames } from "../options.ts";
import { VersionConflictError } from "../store/errors.ts";
import type { EventStore } from "../store/types.ts";
import { nameFault } from "../text.ts";
import type { KeyRing } from "./vault_key_ring.ts";
import { REMOVE, type VaultRecords } from "./vault_records.ts";

/**
 * The receipt of an erasure. It has no data of the person: `key` is the random id of the key that was destroyed, which the
 * stored events of the person name.
 *
 * @category Evidence
 */
export type PersonForgotten = Event<"PersonForgotten", {
  readonly key: string;
  readonly forgottenAt: string;
  readonly reason?: string;
}>;

/**
 * What can be given with an erasure.
 *
 * @category Evidence
 */
export interface ForgetOptions {
  /** Why, for the receipt. Without data of the person, because the receipt is never erased. */
  readonly reason?: string;
  /** Ends it with the signal's reason. Run it again to go on. */
  readonly signal?: AbortSignal;
}

/**
 * What an erasure did.
 *
 * @category Evidence
 */
export interface ForgetReport {
  /** The receipts that are stored, one for each key that was destroyed; none if the vault had no key of the person. */
  readonly receipts: readonly StoredEvent<PersonForgotten>[];
}

const OPTIONS: OptionNames<ForgetOptions> = { reason: true, signal: true };

const MAX_PERSON_BYTES = 512;
const MAX_REASON_BYTES = 1_000;

/** Returns the options as they were read. */
export function checkForget({ ...options }: ForgetOptions): ForgetOptions {
  checkKnown<ForgetOptions>(options, OPTIONS);
  checkSignal(options.signal);
  const fault = options.reason === undefined ? undefined : nameFault(options.reason, MAX_REASON_BYTES);
  if (fault) throw new InvalidArgumentError("options.reason", fault);
  return options;
}

/** Checks the id of a person. */
export function checkPerson(person: string): void {
  const fault = nameFault(person, MAX_PERSON_BYTES);
  if (fault) throw new InvalidArgumentError("person", fault);
}

/** Destroys the keys of a person, and stores a receipt for each. It can be interrupted at any moment, and run again. */
export async function forgetPerson(
  records: VaultRecords,
  keys: KeyRing,
  person: string,
  store: EventStore,
  { reason, signal }: ForgetOptions,
): Promise<ForgetReport> {
  // From here on, new data of the person get another key.
  await records.change("person", person, (record) => {
    return record?.key === undefined ? undefined : { forgetting: [...record.forgetting ?? [], record.key] };
  }, signal);
  const { forgetting = [] } = await records.read("person", person, signal) ?? {};
  const receipts: StoredEvent<PersonForgotten>[] = [];
  for (const key of forgetting) {
    const forgottenAt = await destroy(records, key, signal);
    keys.forget(key, forgottenAt);
    const receipt = { key, forgottenAt, ...(reason !== undefined && { reason }) };
    receipts.push(await storeReceipt(store, receipt, signal));
  }
  await finish(records, person, forgetting, signal);
  return { receipts };
}

/** Destroys a key; returns when that was. */
async function destroy(
  records: VaultRecords,
  keyId: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const now = new Date().toISOString();
  const before = await records.change("key", keyId, (record) => {
    return record && "forgotten" in record ? undefined : { forgotten: now };
  }, signal);
  return before && "forgotten" in before ? before.forgotten : now;
}

/** Removes what is known of a person, now that the receipts are stored. */
async function finish(
  records: VaultRecords,
  person: string,
  forgotten: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  await records.change("person", person, (record) => {
    if (!record?.forgetting) return undefined;
    const forgetting = record.forgetting.filter((key) => !forgotten.includes(key));
    if (record.key === undefined && forgetting.length === 0) return REMOVE;
    return {
      ...(record.key !== undefined && { key: record.key }),
      ...(forgetting.length > 0 && { forgetting }),
    };
  }, signal);
}

/** Stores a receipt, once. */
async function storeReceipt(
  store: EventStore,
  data: PersonForgotten["data"],
  signal: AbortSignal | undefined,
): Promise<StoredEvent<PersonForgotten>> {
  const actorId = `forgotten-${data.key}`;
  const event = { id: actorId, eventType: "PersonForgotten", data };
  try {
    const [stored] = await store.append(actorId, [event], { expectedVersion: 0, ...(signal && { signal }) });
    return stored as StoredEvent<PersonForgotten>;
  } catch (error) {
    // An earlier run has stored it, perhaps with another reason.
    if (!(error instanceof VersionConflictError)) throw error;
    const [stored] = await abortable(store.getEvents(actorId), signal);
    if (stored?.eventType !== "PersonForgotten") throw error;
    return stored as StoredEvent<PersonForgotten>;
  }
}
