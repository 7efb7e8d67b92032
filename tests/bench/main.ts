/**
 * `deno task bench [group ...] [--quick] [--only=NAME,...] [--compare=FOLDER]`: prints a line for each row and exits 0, also
 * if a goal is missed. Each line says on which machine it was taken. `--only` leaves out the rows whose name has none of the given parts. `--compare` runs the same rows
 * in another checkout too, in interleaved rounds, and prints both ratios.
 *
 * @module
 */

import { compare } from "./compare.ts";
import { type Group, type GroupOptions, run } from "./harness.ts";

const GROUPS: Record<string, () => Promise<{ open(options: GroupOptions): Promise<Group> }>> = {
  memory: () => import("./memory.ts"),
  kv: () => import("./kv.ts"),
  jetstream: () => import("./jetstream.ts"),
  cluster: () => import("./cluster.ts"),
  projection: () => import("./projection.ts"),
  bus: () => import("./bus.ts"),
  copy: () => import("./copy.ts"),
  deploy: () => import("./deploy.ts"),
  evidence: () => import("./evidence.ts"),
  actor: () => import("./actor.ts"),
  cli: () => import("./cli.ts"),
};

const quick = Deno.args.includes("--quick");
const only = Deno.args.find((arg) => arg.startsWith("--only="))?.slice("--only=".length).split(",");
const other = Deno.args.find((arg) => arg.startsWith("--compare="))?.slice("--compare=".length);
const names = Deno.args.filter((arg) => !arg.startsWith("--"));
const unknown = [
  ...names.filter((name) => !(name in GROUPS)),
  ...Deno.args.filter((arg) => /^--(?!quick$|only=.|compare=.)/.test(arg)),
];
if (unknown.length > 0) {
  console.error(
    `unknown: ${unknown.join(" ")}. Usage: deno task bench [${
      Object.keys(GROUPS).join(" | ")
    } ...] [--quick] [--only=NAME,...] [--compare=FOLDER]`,
  );
  Deno.exit(2);
}
if (other !== undefined) {
  await compare(other, Deno.args.filter((arg) => !arg.startsWith("--compare=")));
  Deno.exit();
}
for (const name of names.length > 0 ? names : Object.keys(GROUPS)) {
  const { open } = await GROUPS[name]!();
  await using group = await open({ quick });
  const rows = group.rows.filter((row) => only?.some((part) => row.name.includes(part)) ?? true);
  for (const row of rows) console.log(await run(name, row, { quick }));
}
