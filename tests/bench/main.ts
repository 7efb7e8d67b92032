/**
 * `deno task bench [group ...] [--quick] [--only=NAME,...]`: prints one line a row and exits 0 all the same. `--only`
 * leaves out the rows whose name has none of the given parts.
 *
 * @module
 */

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
};

const quick = Deno.args.includes("--quick");
const only = Deno.args.find((arg) => arg.startsWith("--only="))?.slice("--only=".length).split(",");
const names = Deno.args.filter((arg) => !arg.startsWith("--"));
const unknown = [
  ...names.filter((name) => !(name in GROUPS)),
  ...Deno.args.filter((arg) => /^--(?!quick$|only=.)/.test(arg)),
];
if (unknown.length > 0) {
  console.error(
    `unknown: ${unknown.join(" ")}. Usage: deno task bench [${
      Object.keys(GROUPS).join(" | ")
    } ...] [--quick] [--only=NAME,...]`,
  );
  Deno.exit(2);
}
console.log(`# Deno ${Deno.version.deno}, ${navigator.hardwareConcurrency} cores${quick ? ", quick" : ""}`);
for (const name of names.length > 0 ? names : Object.keys(GROUPS)) {
  const { open } = await GROUPS[name]!();
  await using group = await open({ quick });
  const rows = group.rows.filter((row) => only?.some((part) => row.name.includes(part)) ?? true);
  for (const row of rows) console.log(await run(name, row, { quick }));
}
