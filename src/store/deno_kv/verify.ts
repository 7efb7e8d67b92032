/**
 * Checking everything that is stored in a namespace of Deno KV.
 *
 * @module
 */

import type { Verified } from "../backend.ts";
import { follows, lastVersion, type StoredPart } from "../continuity.ts";
import { DamagedHistoryError, type HistoryFault } from "../errors.ts";
import type { VerifyOptions } from "../types.ts";
import type { CommitReader, OrFault } from "./commit_reader.ts";
import { ACTOR_PART, following, STAMP_PART } from "./layout.ts";
import { lastCommit } from "./log.ts";
import { OpenRecords } from "./logged_parts.ts";
import { getAll, scan } from "./scan.ts";

/** Reads all actors' records and the whole log up to its present end, and holds each against the other. */
export async function verifyRecords(reader: CommitReader, options: VerifyOptions): Promise<Verified> {
  const verification = new Verification(reader, options);
  return await verification.run();
}

class Verification {
  readonly #reader: CommitReader;
  readonly #options: VerifyOptions;
  readonly #faults: HistoryFault[] = [];
  #commits = 0;
  #events = 0;
  #actors = 0;
  #lastPosition: string | undefined;

  constructor(reader: CommitReader, options: VerifyOptions) {
    this.#reader = reader;
    this.#options = options;
  }

  async run(): Promise<Verified> {
    await this.#log(await lastCommit(this.#reader) ?? "");
    await this.#histories();
    return {
      commits: this.#commits,
      events: this.#events,
      actors: this.#actors,
      lastPosition: this.#lastPosition,
      faults: this.#faults,
    };
  }

  /** The log: every part must be stored under its actor's key too, by the same commit. */
  async #log(last: string): Promise<void> {
    const { kv, logRange } = this.#reader;
    for await (const entries of scan(kv, logRange)) {
      const records = await OpenRecords.of(this.#reader, entries);
      for (const [index, { key, versionstamp }] of entries.entries()) {
        if (key[STAMP_PART] as string > last) return;
        await this.#record(versionstamp, await records.parts(index));
      }
      this.#progress();
    }
  }

  async #record(versionstamp: string, shares: readonly OrFault<StoredPart>[]): Promise<void> {
    const { kv, layout } = this.#reader;
    this.#commits++;
    const sound: StoredPart[] = [];
    for (const share of shares) {
      if (share instanceof DamagedHistoryError) this.#faults.push(share);
      else sound.push(share);
    }
    const keys = sound.map(({ actorId, previousVersion }) => layout.event(actorId, previousVersion + 1));
    for (const [index, stored] of (await getAll(kv, keys)).entries()) {
      const { actorId, events, previousVersion } = sound[index]!;
      this.#events += events.length;
      this.#lastPosition = events.at(-1)?.position;
      if (stored.versionstamp === versionstamp) continue;
      const place = { actorId, version: previousVersion + 1, position: events[0]?.position };
      this.#faults.push(
        new DamagedHistoryError("a commit of the log is missing from its actor's history", place),
      );
    }
  }

  /** The actors' histories: sound, in order, and each record in the log. */
  async #histories(): Promise<void> {
    const { kv, layout } = this.#reader;
    let actor: unknown;
    let version = 0;
    let isCounted = false;
    for await (
      const entries of scan(kv, { start: layout.events, end: following([...layout.events, true]) })
    ) {
      // Also what was written since: both records of a commit are stored at once, so that neither can be late.
      const stamps = [...new Set(entries.map(({ versionstamp }) => versionstamp))];
      const logged = await getAll(kv, stamps.map((versionstamp) => layout.commit(versionstamp)));
      const missing = new Set(stamps.filter((_, index) => logged[index]!.versionstamp === null));
      for (const entry of entries) {
        const current = entry.key[ACTOR_PART];
        const record = await this.#reader.read(entry);
        const known = current === actor;
        actor = current;
        isCounted &&= known;
        if (record instanceof DamagedHistoryError) {
          this.#faults.push(record);
          version = NaN; // what follows a record that cannot be read cannot be held against it
          continue;
        }
        const fault = Number.isNaN(version) && known ? undefined : follows(record, known ? version : 0);
        if (fault) this.#faults.push(fault);
        if (record.events.length > 0 && !isCounted) {
          this.#actors++;
          isCounted = true;
        }
        version = lastVersion(record);
        if (record.events.length > 0 && missing.has(entry.versionstamp)) {
          const { actorId, previousVersion, events } = record;
          const place = { actorId, version: previousVersion + 1, position: events[0]!.position };
          this.#faults.push(new DamagedHistoryError("a commit is missing from the log", place));
        }
      }
      this.#progress();
    }
  }

  #progress(): void {
    this.#options.signal?.throwIfAborted();
    this.#options.onProgress?.({ commits: this.#commits, events: this.#events });
  }
}
