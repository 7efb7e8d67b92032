/**
 * Compares a read model that processes have made with the log that it is of: events that are lost, handled twice, or out of
 * order within their actor.
 *
 * `deno run -A tests/projection/processes/lanes_check.ts ORDER` prints the faults of the databases of a {@linkcode LanesOrder}.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { DenoKvEventStore, type StoredEvent } from "../../../mod.ts";
import type { LanesOrder } from "./lanes.ts";

/** What is wrong. */
export interface Faults {
  readonly lost: number;
  readonly twice: number;
  readonly disorder: number;
}

/** How often each event was handled, and how many were handled out of order. */
interface Model {
  readonly times: ReadonlyMap<string, number>;
  readonly disorder: number;
}

const nameOf = ({ actorId, version }: Pick<StoredEvent, "actorId" | "version">): string =>
  `${actorId} ${version}`;

/** Reads both, and compares. */
export async function faultsOf(order: LanesOrder): Promise<Faults> {
  await using store = await DenoKvEventStore.open(order.file);
  const model = order.backend === "Deno KV" ? await modelInKv(order.file) : modelInSqlite(order.sqlite);
  let [lost, twice] = [0, 0];
  const log = new Set<string>();
  for await (const event of store.readAll()) {
    const times = model.times.get(nameOf(event)) ?? 0;
    log.add(nameOf(event));
    if (times === 0) lost++;
    if (times > 1) twice++;
  }
  const invented = [...model.times.keys()].filter((name) => !log.has(name)).length;
  return { lost, twice: twice + invented, disorder: model.disorder };
}

async function modelInKv(file: string): Promise<Model> {
  using kv = await Deno.openKv(file);
  const times = new Map<string, number>();
  let eighths = 0;
  for await (const { key: [, actorId, version], value } of kv.list<number>({ prefix: ["seen"] })) {
    times.set(nameOf({ actorId: actorId as string, version: version as number }), value);
    if (version as number % 8 === 0) eighths++;
  }
  const counted = (await kv.get<number>(["eighths"])).value ?? 0;
  const disorder = await Array.fromAsync(kv.list({ prefix: ["disorder"] }));
  // A count that all keys share was changed by two at once, or twice by one.
  if (counted !== eighths) times.set(`eighths ${counted} of ${eighths}`, 1);
  return { times, disorder: disorder.length };
}

function modelInSqlite(file: string): Model {
  using database = new DatabaseSync(file);
  const rows = database.prepare("SELECT actor, version, times FROM seen").all() as {
    actor: string;
    version: number;
    times: number;
  }[];
  const times = new Map(
    rows.map(({ actor, version, times }) => [nameOf({ actorId: actor, version }), times]),
  );
  return { times, disorder: database.prepare("SELECT * FROM disorder").all().length };
}

if (import.meta.main) console.log(await faultsOf(JSON.parse(Deno.args[0]!)));
