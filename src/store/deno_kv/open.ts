/**
 * Opening a database and the log in it.
 *
 * @module
 */

import { openError, openKv } from "../../deno_kv.ts";
import { loadChecksum } from "../checksum.ts";
import { StoreOpenError } from "../errors.ts";
import { Wakeups } from "../follow.ts";
import type { StoreSetup } from "../options.ts";
import { newLogId } from "../position.ts";
import type { Finding } from "../types.ts";
import { KvBackend } from "./backend.ts";
import { commitFailure } from "./failures.ts";
import { Heads } from "./heads.ts";
import { KvPositions } from "./kv_positions.ts";
import { Layout, MAX_CHECKS_REMOTE } from "./layout.ts";
import { Records } from "./records.ts";
import { getAll } from "./scan.ts";
import { Snapshots } from "./snapshots.ts";
import { GroupWriter } from "./writer.ts";

/** What Deno KV is opened with, every default filled in. */
export interface KvSettings {
  /** The first part of every key. */
  readonly prefix: string;
  /** How often subscribers look for what other processes stored, in milliseconds. */
  readonly pollInterval: number;
  /** How long a save may take, in milliseconds. */
  readonly saveTimeout: number;
  /** How many actors' heads are kept. */
  readonly cachedActors: number;
}

/** The handles of a database: one to write, one to read, and what closes those that the store opened. */
interface Handles {
  readonly write: Deno.Kv;
  readonly read: Deno.Kv;
  readonly maxChecks: number;
  readonly maxInFlight: number;
  readonly findings: readonly Finding[];
  readonly close: () => void;
}

/** The first record of a namespace. */
interface LogRecord {
  readonly format: 1;
  readonly id: string;
}

/** Opens a backend. */
export async function openKvBackend(
  target: string | Deno.Kv | undefined,
  setup: StoreSetup,
  settings: KvSettings,
): Promise<KvBackend> {
  const handles = await openHandles(target);
  try {
    const layout = new Layout(settings.prefix, setup.namespace);
    const checksum = await loadChecksum();
    const positions = new KvPositions(await openLog(handles.write, layout), checksum);
    const context = { positions, checksum };
    const records = new Records(handles.read, layout, context);
    const heads = new Heads(records, settings.cachedActors);
    const wakeups = new Wakeups();
    const writer = new GroupWriter({
      kv: handles.write,
      records,
      layout,
      positions,
      checksum,
      heads,
      wakeups,
      maxChecks: handles.maxChecks,
      maxInFlight: handles.maxInFlight,
      timeout: settings.saveTimeout,
    });
    const { pollInterval } = settings;
    const snapshots = new Snapshots(handles.read, layout, checksum, setup.warn);
    const { findings } = handles;
    const close = (): void => {
      writer.close();
      handles.close();
    };
    return new KvBackend({
      positions,
      records,
      heads,
      writer,
      snapshots,
      wakeups,
      pollInterval,
      findings,
      close,
    });
  } catch (error) {
    handles.close();
    throw openError(typeof target === "string" ? target : undefined, error);
  }
}

/** Takes an open handle, or opens a database; a file gets a second handle, so that reads do not wait behind writes. */
async function openHandles(target: string | Deno.Kv | undefined): Promise<Handles> {
  const { kv, opened } = await openKv(target);
  if (!opened) return { write: kv, read: kv, ...LOCAL, findings: [], close: () => {} };
  const path = target as string | undefined;
  const remote = path !== undefined && /^https?:/.test(path);
  const isFile = path !== undefined && path !== ":memory:" && !remote;
  const handles = [kv];
  try {
    if (isFile) handles.push((await openKv(path)).kv);
  } catch (error) {
    kv.close();
    throw error;
  }
  return {
    write: kv,
    read: handles.at(-1)!,
    ...(remote ? REMOTE : LOCAL),
    findings: path === ":memory:" ? [IN_MEMORY] : isFile ? [ONE_FILE] : [],
    close: () => handles.forEach((handle) => handle.close()),
  };
}

/**
 * How large a group grows, in checks, and how many are on their way at once. While one is flushed the next ones are built
 * and wait at the database: 64 writers on a file store 1.1 times as much with three groups of 32 as with two, and 1.3
 * times as much as with two of 64. A remote database answers late and works on several. What a handle leads to cannot be
 * seen: a database that takes ten checks alone says so.
 */
const LOCAL = { maxChecks: 32, maxInFlight: 3 };
const REMOTE = { maxChecks: MAX_CHECKS_REMOTE, maxInFlight: 8 };

const IN_MEMORY: Finding = {
  code: "in-memory",
  severity: "warning",
  message: "The database is in this process's memory: its events are gone when the process ends",
  advice: "Open a file to keep them",
};

const ONE_FILE: Finding = {
  code: "one-file",
  severity: "warning",
  message:
    "The events lie in one file on one machine: every commit is flushed to its disk, and is lost with that disk",
  advice: "Back the file up while no process has it open, or move to Deno Deploy or to a JetStream cluster",
};

/** The id of the namespace's log, which whoever comes first makes up. */
async function openLog(kv: Deno.Kv, layout: Layout): Promise<string> {
  for (;;) {
    const [entry] = await getAll(kv, [layout.logId]);
    const log = entry?.value as LogRecord | null | undefined;
    if (log) {
      if (log.format === 1 && typeof log.id === "string") return log.id;
      throw new StoreOpenError(
        `The namespace was written in format ${
          JSON.stringify(log.format)
        }, and this version reads format 1: ` +
          "open it with the version of Aether that wrote it",
      );
    }
    const created: LogRecord = { format: 1, id: newLogId() };
    try {
      await kv.atomic().check({ key: layout.logId, versionstamp: null }).set(layout.logId, created).commit();
    } catch (error) {
      if (commitFailure(error) !== "busy") throw error;
    }
  }
}
