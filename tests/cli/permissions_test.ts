/** Each command runs with just the permissions that its help names. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { DenoKvCheckpoints, DenoKvEventStore, projectOnce } from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { aether, type Ran } from "./command_line.ts";

const PROGRAMS = fileURLToPath(new URL("./programs/order.ts", import.meta.url));

/** The library, which a user's file imports. */
const SOURCE = fileURLToPath(new URL("../../src", import.meta.url));

/** The flags that a command's help names for a file, and for what else `uses` names, with the paths put in. */
function flagsOf(help: string, uses: readonly string[], paths: Readonly<Record<string, string>>): string[] {
  const [, text] = /^Permissions: (.*)\.$/m.exec(help) ?? [];
  assert(text !== undefined, help);
  const parts = text.split(/; |, for /).map((part) => part.replace(/^for /, ""));
  const wanted = ["a file ", ...uses];
  const found = wanted.map((use) => parts.find((part) => part.startsWith(use)));
  assert(found.every((part) => part !== undefined), `${uses} in ${text}`);
  return found.flatMap((part) => part!.match(/--[a-z-]+(=[^ ,]+(,[A-Z]+)*)?/g)!)
    .filter((flag) => flag.startsWith("--allow") || flag === "--unstable-kv")
    .map((flag) => flag.replace(/TARGET|PLACE|FOLDER|FILE|deno$/g, (name) => paths[name]!));
}

Deno.test("aether runs each command on a file with just the permissions that its help names", async () => {
  await using folder = await kvFolder();
  const { path, file } = folder;
  {
    await using store = await DenoKvEventStore.open(file);
    await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
    await using checkpoints = await DenoKvCheckpoints.open(file);
    await projectOnce(store, { name: "totals", checkpoints, handle: () => {} });
  }
  const run = async (
    args: readonly string[],
    uses: readonly string[] = [],
    paths: Record<string, string> = {},
  ): Promise<Ran> => {
    const help = await aether([args[0]!, "--help"], { allow: [] });
    const allow = flagsOf(help.out, uses, { TARGET: file, deno: Deno.execPath(), ...paths });
    return await aether(args, { allow });
  };
  const [key, exported, seal] = [`${path}/seal.key`, `${path}/out/orders.ndjson`, `${path}/seal`];
  await Deno.mkdir(`${path}/out`);
  const independent = [
    run(["show", file, "order-1"]),
    run(["show", file, "order-1", "--decider", `${PROGRAMS}#order`], ["--decider "]),
    run(["log", file]),
    run(["actors", file]),
    run(["verify", file]),
    run(["diagnose", file]),
    run(["projections", file]),
    run(["timers", file]),
    run(["timers", file, "--actors", `${PROGRAMS}#seats`], ["--actors "], { FILE: `${PROGRAMS},${SOURCE}` }),
    run(["export", file, exported], ["FILE "], { FOLDER: `${path}/out` }),
  ];
  for (const { code, err } of await Promise.all(independent)) assert.equal(code, 0, err);

  const [made, imported] = await Promise.all([
    aether(["seal", file, seal, "--key", key, "--new-key", "example.com/orders"], {
      allow: [...flagsOf((await aether(["seal", "--help"], { allow: [] })).out, ["PLACE ", "--new-key "], {
        TARGET: file,
        PLACE: seal,
        FOLDER: path,
        FILE: key,
      })],
    }),
    run(["import", `${path}/copy.kv`, exported, "--yes"], ["FILE "], {
      TARGET: `${path}/copy.kv`,
      FILE: exported,
    }),
  ]);
  assert.equal(made.code, 0, made.err);
  assert.equal(imported.code, 0, imported.err);
  const [, publicKey] = /auditors: (\S+)/.exec(made.err)!;
  const [again, compared, whole] = await Promise.all([
    run(["seal", file, seal, "--key", key], ["PLACE ", "--key "], { PLACE: seal, FOLDER: path, FILE: key }),
    run(["verify", file, "--seal", seal, "--public-key", publicKey!], ["--seal a folder "], { PLACE: seal }),
    aether(["verify", exported], { allow: [`--allow-read=${exported}`] }),
  ]);
  for (const { code, err } of [again, compared, whole]) assert.equal(code, 0, err);
});
