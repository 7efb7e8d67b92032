/**
 * Opening a database and the log in it.
 *
 * @module
 */

import { openError, openKv } from "../../deno_kv.ts";
import { loadChecksum } from "../checksum.ts";
import { Wakeups } from "../follow.ts";
import type { StoreSetup } from "../store_options.ts";
import type { Finding } from "../types.ts";
import { KvBackend } from "./backend.ts";
import { Heads } from "./heads.ts";
import { KvPositions } from "./kv_positions.ts";
import { MAX_CHECKS_LOCAL, MAX_CHECKS_REMOTE } from "../../deno_kv_limits.ts";
import { Layout } from "./layout.ts";
import { LogRecord } from "./log_record.ts";
import { CommitReader } from "./commit_reader.ts";
import { Snapshots } from "./snapshots.ts";
import { checksumOf, loadValueFormat } from "./value_format.ts";
import { GroupWriter } from "./writer.ts";

/** What Deno KV is opened with, every default filled in. */
export interface KvSettings {
  /** The first part of every key. */
  readonly prefix: string;
  /** How often subscribers look for what other processes stored, in milliseconds. */
  readonly pollInterval: number;
  /** How long a save may take, in milliseconds, not counting the time behind other saves that are stored. */
  readonly saveTimeout: number;
  /** How many actors' heads are kept. */
  readonly cachedActors: number;
}

/** The handles of a database: one to write, one to read, and what closes those that the store opened. */
interface Handles {
  readonly write: Deno.Kv;
  readonly read: Deno.Kv;
  readonly maxChecks: number;
  readonly usualChecks: number;
  readonly maxInFlight: number;
  /** The database file, if the store opened one. */
  readonly file: string | undefined;
  readonly findings: readonly Finding[];
  readonly close: () => void;
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
    const { namespace } = setup;
    const log = await LogRecord.open({ kv: handles.write, layout, namespace, file: handles.file });
    const checksum = checksumOf(log.id, await loadChecksum());
    const positions = new KvPositions(log.id, checksum);
    const values = await loadValueFormat(checksum);
    const reader = new CommitReader(handles.read, layout, positions, values);
    const heads = new Heads(reader, settings.cachedActors);
    const wakeups = new Wakeups();
    const writer = new GroupWriter({
      kv: handles.write,
      log,
      reader,
      layout,
      positions,
      values,
      heads,
      wakeups,
      maxChecks: handles.maxChecks,
      usualChecks: handles.usualChecks,
      maxInFlight: handles.maxInFlight,
      timeout: settings.saveTimeout,
    });
    const { pollInterval } = settings;
    const snapshots = new Snapshots({ kv: handles.read, log, layout, values, warn: setup.warn });
    const { findings } = handles;
    const close = (): void => {
      writer.close();
      handles.close();
    };
    return new KvBackend({
      kv: handles.write,
      log,
      positions,
      reader,
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
    throw openError(target, error);
  }
}

/** Takes an open handle, or opens a database; a file gets a second handle, so that reads do not wait behind writes. */
async function openHandles(target: string | Deno.Kv | undefined): Promise<Handles> {
  const { kv, opened } = await openKv(target);
  if (!opened) return { write: kv, read: kv, ...LOCAL, file: undefined, findings: [], close: () => {} };
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
    file: isFile ? path : undefined,
    findings: remote ? [] : [path === undefined ? DEFAULT_DATABASE : isFile ? ONE_FILE : IN_MEMORY],
    close: () => handles.forEach((handle) => handle.close()),
  };
}

/**
 * How large a group grows, in checks (one is that of the log), and how many are on their way at once. While one is flushed the next ones are built
 * and wait at the database: 64 writers on a file store 1.1 times as much with three groups of 32 as with two, and 1.3
 * times as much as with two of 64. A remote database answers late and works on several. What a handle leads to cannot be
 * seen: a database that takes only ten checks reports it.
 */
const LOCAL = { maxChecks: MAX_CHECKS_LOCAL, usualChecks: 1 + 32, maxInFlight: 3 };
const REMOTE = { maxChecks: MAX_CHECKS_REMOTE, usualChecks: MAX_CHECKS_REMOTE, maxInFlight: 8 };

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
    "The events are in one file on one machine. Every commit is flushed to its disk, and is lost with that disk",
  advice: "Back the file up while no process has it open, or move to Deno Deploy or to a JetStream cluster",
};

const DEFAULT_DATABASE: Finding = {
  code: "default-database",
  severity: "warning",
  message:
    "The events are in the program's default database. On Deno Deploy that is the database of the app. Elsewhere it is a " +
    "file in Deno's cache folder, and a program that is moved or started by another path gets another one",
  advice: "Open a path, unless the program runs on Deno Deploy",
};
