/** Options that name nothing that can exist: one sentence about the option, and the exit code of a wrong command line. */

import assert from "node:assert/strict";
import { DenoKvEventStore } from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { aether } from "./command_line.ts";

const LONG = "x".repeat(3_000);

Deno.test("aether names the wrong option in one line, in the words of the command line", async (t) => {
  await using folder = await kvFolder();
  const { file, path } = folder;
  {
    await using store = await DenoKvEventStore.open(file);
    await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
  }
  const server = "nats://127.0.0.1:1";
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [["log", file, "--type", ""], 2, /^--type is empty: leave it out/],
    [["tail", file, "--type", ""], 2, /^--type is empty: leave it out/],
    [["log", file, "--actor", ""], 2, /^--actor is not the id of an actor: it must not be empty/],
    [["log", file, "--actor", LONG], 2, /^--actor is not the id of an actor: it must be at most 512 bytes/],
    [["log", file, "--namespace", LONG], 2, /^--namespace: "x+.*is not a name of 1 to 64 letters/],
    [["log", server, "--namespace", "a.b"], 2, /^--namespace: "a\.b" is not a name of 1 to 64 letters/],
    [["parked", "list", file, LONG], 1, /^projection\.name: must /],
    [
      ["export", file, `${path}/out`, "--key", `${path}/none`],
      2,
      /^--key must be the file of a private key/m,
    ],
    [["seal", file, `${path}/seal`, "--key", path], 2, /^--key must be the file of a private key/m],
    [
      ["log", server, "--credentials", `${path}/none`],
      2,
      /^--credentials must be a file with NATS credentials/,
    ],
    [["log", server, "--credentials", path], 2, /^--credentials must be a file with NATS credentials/],
    [
      ["show", file, "order-1", "--decider", `${path}/none.ts#order`],
      1,
      /^The decider .* failed:\nerror: .*not found/,
    ],
    [
      ["show", file, "order-1", "--decider", `${path}#order`],
      1,
      /^The decider .* failed:\nerror: .*Directory/,
    ],
  ];
  for (const [args, code, text] of cases) {
    await t.step(args.map((arg) => arg.replace(path, "").slice(0, 40)).join(" "), async () => {
      const ran = await aether(args, { allow: ["-A"] });
      assert.match(ran.err, text);
      assert.deepEqual([ran.code, ran.out], [code, ""], ran.err);
      assert.doesNotMatch(ran.err, /\n\s+at |Stack|options\./);
      assert(ran.err.trimEnd().split("\n").length <= 2, ran.err);
    });
  }
});
