/**
 * Actors' histories, for a program that looks at one and ends: what saves, and what follows the log, is not loaded.
 *
 * @module
 */

import type { StoredEvent } from "../../event/types.ts";
import { plainChecksum } from "../checksum.ts";
import { lastVersion } from "../continuity.ts";
import { DamagedHistoryError } from "../errors.ts";
import type { EventStore, ReadEventsOptions } from "../types.ts";
import { CommitReader } from "./commit_reader.ts";
import { readHistory } from "./history.ts";
import { KvPositions } from "./kv_positions.ts";
import { isActorId, Layout } from "./layout.ts";
import { LogRecord } from "./log_record.ts";
import { checksumOf, lightValueReader } from "./value_format.ts";

/** Reads actors' histories, of a log that exists. Events are as they were stored, under any schema version. */
export class KvHistories implements Pick<EventStore, "getLatestVersion" | "readEvents"> {
  readonly #reader: CommitReader;

  private constructor(reader: CommitReader) {
    this.#reader = reader;
  }

  /**
   * Opens them.
   *
   * @throws {StoreOpenError} If the log was written in another format.
   */
  static async open(kv: Deno.Kv, prefix: string, namespace: string): Promise<KvHistories> {
    const layout = new Layout(prefix, namespace);
    const { id } = await LogRecord.open({ kv, layout, namespace, file: undefined });
    const checksum = checksumOf(id, plainChecksum());
    return new KvHistories(
      new CommitReader(kv, layout, new KvPositions(id, checksum), lightValueReader(checksum)),
    );
  }

  /** The version of an actor's latest event; 0 if it never had one. */
  async getLatestVersion(actorId: string): Promise<number> {
    const latest = isActorId(actorId) ? await this.#reader.latest(actorId) : undefined;
    if (!latest) return 0;
    if (latest.record instanceof DamagedHistoryError) throw latest.record;
    return lastVersion(latest.record);
  }

  /** An actor's events. */
  async *readEvents(actorId: string, options: ReadEventsOptions = {}): AsyncGenerator<StoredEvent> {
    const { fromVersion = 1, toVersion = Number.MAX_SAFE_INTEGER, direction = "forward", limit = Infinity } =
      options;
    const read = { fromVersion: Math.max(1, fromVersion), toVersion, direction, limit, onDamage: undefined };
    let left = limit;
    for await (const events of readHistory(this.#reader, actorId, read, 0, () => {})) {
      for (const event of events) {
        if (left-- <= 0) return;
        yield event;
      }
    }
  }
}
