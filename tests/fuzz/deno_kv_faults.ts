/**
 * How a log in Deno KV is damaged.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { bodyOf, logIdOf, sealed, withField } from "../support/kv_forgery.ts";
import { kvFolder } from "../support/kv_file.ts";
import type { FlushAnswer, FlushReport, FlushStep, Plant } from "./fault_steps.ts";

const BASE = ["aether", "default"];

/** Deletes all that the default namespace holds. */
export async function deleteKeys(file: string): Promise<void> {
  using kv = await Deno.openKv(file);
  for await (const { key } of kv.list({ prefix: BASE })) await kv.delete(key);
}

/** Sets a key below those of the store: never that of the log's id, without which there is another log. */
export async function plantValue(file: string, { place, how, field, json, edit }: Plant): Promise<void> {
  using kv = await Deno.openKv(file);
  const entries = await Array.fromAsync(kv.list({ prefix: BASE }));
  const records = entries.filter(({ key, value }) => key[2] !== "log" && value instanceof Uint8Array);
  const { key, value } = records[place % records.length]! as Deno.KvEntry<Uint8Array>;
  const logId = await logIdOf(kv);
  switch (how) {
    case "value":
      return void await kv.set(key, json);
    case "copy":
      return void await kv.set([...key.slice(0, -1), partFor(key.at(-1)!, field, json)], value);
    case "field":
      return void await kv.set(key, sealed(logId, withField(bodyOf(value), field, json)));
    case "bytes": {
      const body = new TextEncoder().encode(bodyOf(value));
      const at = Math.min(edit.at, body.length);
      const changed = [...body.subarray(0, at), ...edit.added, ...body.subarray(at + edit.removed)];
      return void await kv.set(key, sealed(logId, new Uint8Array(changed)));
    }
  }
}

/** Another last part of a key. */
function partFor(part: Deno.KvKeyPart, field: number, json: unknown): Deno.KvKeyPart {
  if (typeof part === "number" && field % 2 === 0) return part + 1 + field % 7 / 2;
  if (typeof json === "string" || typeof json === "number" || typeof json === "boolean") return json;
  return `${String(part)}${field}`;
}

/**
 * Lets a process append while flushes fail, and kills it.
 *
 * @param preload The library that makes them fail.
 */
export async function appendWithoutFlush(
  preload: string,
  steps: readonly FlushStep[],
): Promise<FlushReport> {
  await using folder = await kvFolder();
  const program = fileURLToPath(new URL("../support/programs/flush_writer.ts", import.meta.url));
  const flag = `${folder.path}/fail`;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--unstable-kv", program, folder.file, flag, JSON.stringify(steps)],
    env: { LD_PRELOAD: preload, FAIL_FSYNC: flag },
  }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assert.equal(lines.pop(), "done", new TextDecoder().decode(stderr));
  const answers = lines.map((line) => JSON.parse(line) as FlushAnswer);
  await using store = await DenoKvEventStore.open(folder.file);
  const stored = (await Array.fromAsync(store.readAll())).map(({ id }) => id);
  return { answers, stored, isWhole: (await store.verify()).ok };
}
