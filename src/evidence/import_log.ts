/**
 * Storing the events of an export, in order, behind those that are stored already.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { noteSchemaVersion, schemaVersionOf } from "../event/registry.ts";
import type { StoredEvent } from "../event/types.ts";
import { Batch, isCopyOf } from "../store/batch.ts";
import { CopyError } from "../store/copy_errors.ts";
import { FencedError, OutcomeUnknownError, VersionConflictError } from "../store/errors.ts";
import { type OrderedSave, OrderedSaves } from "../store/ordered_saves.ts";
import { type RawLog, rawLogOf } from "../store/raw_log.ts";
import type { EventStore } from "../store/types.ts";
import { utf8Length } from "../text.ts";
import { nodeCrypto } from "./crypto.ts";
import { type ExportProgress, REPORT_EVERY } from "./export_types.ts";
import type { ImportReport } from "./import_report.ts";
import type { ExportedEvent, ExportedPart } from "./export_format.ts";

/** Tokens that are stored alone, for one batch. */
const MAX_TOKENS = 1_000;

/** How an import is observed and ended. */
interface ImportControls {
  readonly onProgress?: (progress: ExportProgress) => void;
  readonly signal?: AbortSignal;
}

/** What is stored together. */
class ImportBatch extends Batch {
  /** The newest tokens of the actors in it. */
  readonly tokens = new Map<string, number>();
  /** The tokens that are stored alone, after the events. */
  readonly takeOvers = new Map<string, number>();

  get isEmpty(): boolean {
    return this.events.length === 0 && this.takeOvers.size === 0;
  }
}

/** One import into a store. */
export class ImportLog {
  readonly #store: EventStore;
  readonly #to: RawLog;
  readonly #controls: ImportControls;
  /** The events that the store has already; `undefined` when they are all compared. */
  #present: AsyncIterator<StoredEvent> | undefined;
  #batch: ImportBatch;
  readonly #saves: OrderedSaves;
  /** What the export has. */
  readonly #expected = nodeCrypto().createHash("sha256");
  #events = 0;
  /** How many events are in the store, and the position of the last one. */
  #reached = 0;
  #position: string | undefined;
  #compared = 0;
  #reported = 0;

  constructor(store: EventStore, controls: ImportControls) {
    this.#store = store;
    this.#to = rawLogOf(store);
    this.#controls = controls;
    this.#present = this.#to.read("start", controls.signal)[Symbol.asyncIterator]();
    this.#saves = new OrderedSaves(this.#to, controls.signal, (save) => this.#settle(save));
    this.#batch = this.#newBatch();
  }

  #newBatch(): ImportBatch {
    return new ImportBatch(this.#saves.limits(this.#store.limits));
  }

  /** Takes the next commit of the export. */
  async take(parts: readonly ExportedPart[]): Promise<void> {
    for (const { actorId, token, events } of parts) {
      for (const exported of events) {
        const event = eventOf(exported, actorId);
        const text = textOf(event);
        this.#expected.update(text);
        this.#events++;
        if (!this.#present || !await this.#compare(event)) {
          const waiting = this.#add(event, token, utf8Length(text));
          if (waiting) await waiting;
        }
      }
      if (events.length > 0 || token === undefined) continue;
      this.#batch.takeOvers.set(actorId, token);
      if (this.#batch.takeOvers.size >= MAX_TOKENS) await this.#next();
    }
  }

  /** Compares an event with the next one that the store has; false if it has no more. */
  async #compare(event: StoredEvent): Promise<boolean> {
    const { done, value: found } = await this.#present!.next();
    if (done) {
      this.#present = undefined;
      return false;
    }
    if (!isCopyOf(found, event)) throw this.#differs(found, event);
    this.#compared++;
    this.#advance("comparing", [found]);
    return true;
  }

  /** Adds an event to what is stored next; returns a promise if there is something to wait for. */
  #add(event: StoredEvent, token: number | undefined, size: number): Promise<void> | undefined {
    if (!this.#batch.takes(event, size)) return this.#next().then(() => this.#add(event, token, size));
    this.#batch.add(event, size);
    if (token !== undefined) this.#batch.tokens.set(event.actorId, token);
    return undefined;
  }

  /** Begins to store what was collected. What comes next is collected meanwhile. */
  async #next(): Promise<void> {
    const { events, tokens, takeOvers } = this.#batch;
    this.#batch = this.#newBatch();
    if (events.length > 0) await this.#saves.add(events, tokens);
    if (takeOvers.size === 0) return;
    await this.#saves.flush();
    for (const [actorId, token] of takeOvers) {
      this.#controls.signal?.throwIfAborted();
      try {
        await abortable(this.#store.takeOver(actorId, token), this.#controls.signal);
      } catch (error) {
        if (!(error instanceof FencedError)) throw error; // the actor has a newer one
      }
    }
  }

  /** Takes the outcome of a save. */
  async #settle({ events, tokens, stored: saved }: OrderedSave): Promise<void> {
    try {
      this.#advance("writing", await saved);
    } catch (error) {
      // The save before came late, and has been settled since.
      if (error instanceof VersionConflictError && error.isCondition) {
        return await this.#saves.save(events, tokens);
      }
      if (!(error instanceof VersionConflictError || error instanceof OutcomeUnknownError)) throw error;
      // A write of our own came late, or another process imports too: what is stored counts.
      const stored = await this.#countStored(events);
      if (stored === 0) throw error;
      if (stored < events.length) await this.#saves.save(events.slice(stored), tokens);
    }
  }

  /** How many of these events are what the store has next. */
  async #countStored(events: readonly StoredEvent[]): Promise<number> {
    let count = 0;
    for await (const found of this.#to.read(this.#position ?? "start", this.#controls.signal)) {
      const expected = events[count];
      if (!expected) break;
      if (!isCopyOf(found, expected)) throw this.#differs(found, expected);
      this.#advance("writing", [found]);
      count++;
    }
    return count;
  }

  /** Stores all that was collected. */
  async flush(): Promise<void> {
    if (!this.#batch.isEmpty) await this.#next();
    await this.#saves.flush();
    this.#report("writing");
  }

  /** Releases what is read, and waits for what is under way, after a failure. */
  async end(): Promise<void> {
    await this.#present?.return?.();
    await this.#saves.end();
  }

  /**
   * Reads the store from its beginning, and compares it with all that the export has.
   *
   * @throws {CopyError} If it has anything else.
   */
  async compareAll(): Promise<ImportReport> {
    const { signal } = this.#controls;
    await this.#assertNoMore();
    const found = nodeCrypto().createHash("sha256");
    let count = 0;
    for await (const event of this.#to.read("start", signal)) {
      if (++count > this.#events) throw this.#differs(event, undefined);
      found.update(textOf(event));
      if (count % REPORT_EVERY === 0) this.#controls.onProgress?.({ phase: "verifying", events: count });
    }
    if (count < this.#events || !this.#expected.digest().equals(found.digest())) {
      throw this.#differs(undefined, undefined);
    }
    const { faults } = await this.#store.verify({
      ...(this.#position !== undefined && { expectedPosition: this.#position }),
      ...(signal && { signal }),
    });
    if (faults[0]) throw faults[0];
    this.#controls.onProgress?.({ phase: "verifying", events: count });
    return { events: count, imported: count - this.#compared, lastPosition: this.#position };
  }

  /** Refuses a store that has more than the export. */
  async #assertNoMore(): Promise<void> {
    if (!this.#present) return;
    const { done, value } = await this.#present.next();
    if (!done) throw this.#differs(value, undefined);
    this.#present = undefined;
  }

  #differs(found: StoredEvent | undefined, expected: StoredEvent | undefined): CopyError {
    return new CopyError("target-differs", { events: this.#reached, found, expected });
  }

  #advance(phase: ExportProgress["phase"], events: readonly StoredEvent[]): void {
    this.#reached += events.length;
    this.#position = events[events.length - 1]!.position;
    if (this.#reached - this.#reported >= REPORT_EVERY) this.#report(phase);
  }

  #report(phase: ExportProgress["phase"]): void {
    this.#reported = this.#reached;
    this.#controls.onProgress?.({ phase, events: this.#reached });
  }
}

function eventOf({ schemaVersion = 1, ...fields }: ExportedEvent, actorId: string): StoredEvent {
  const event = { ...fields, actorId };
  noteSchemaVersion(event, schemaVersion);
  return event;
}

/** All that counts of an event. */
function textOf(event: StoredEvent): string {
  const { id, eventType, actorId, version, timestamp, data, metadata = null } = event;
  const fields = [id, eventType, actorId, version, timestamp, schemaVersionOf(event), data, metadata];
  return JSON.stringify(fields) + "\n";
}
