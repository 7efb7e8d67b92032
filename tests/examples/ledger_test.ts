/** `examples/ledger`: a ledger that is sealed, checked, forged and found out, and a customer who is forgotten. */

import assert from "node:assert/strict";
import { delimiter } from "node:path";
import { fileURLToPath } from "node:url";
import { installFsck } from "../support/fsck.ts";

const PROGRAM = fileURLToPath(new URL("../../examples/ledger/main.ts", import.meta.url));

Deno.test("examples/ledger shows what a forger cannot hide, and what an erasure does not break", async () => {
  const fsck = await installFsck();
  const parent = await Deno.makeTempDir({ prefix: "aether ledger " });
  const folder = `${parent}/ledger`;
  const path = [...fsck ? [fsck.folder] : [], Deno.env.get("PATH")].join(delimiter);
  try {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--allow-read",
        "--allow-write",
        "--allow-run=fsck",
        "--no-prompt",
        PROGRAM,
        folder,
      ],
      env: { PATH: path },
    }).output();
    const judged = fsck ? "accepted" : "not installed";
    assert.deepEqual(new TextDecoder().decode(stdout).trim().split("\n"), [
      "sealed and exported: 9 events",
      `fsck: ${judged}`,
      "verifySeal: true",
      "verifyExport: 9 events",
      'proved: {"amount":200}',
      "verify() of the forged store: true",
      'found out: Event 2 of actor "account-2" was changed after it was sealed: data.',
      "found out: Line 3 of the export: it is not as it was written. Get the file again from where it was exported to.",
      "forgotten: true",
      "verifySealedLog: true, 11 events",
      `fsck: ${judged}`,
    ], new TextDecoder().decode(stderr));

    const entries = await Deno.readFile(`${folder}/seal/tile/entries/000.p/11`);
    const text = new TextDecoder().decode(entries);
    assert(text.includes("customer-1") && !text.includes("Ann Smith"), "a leaf has no personal data");
    await Deno.writeFile(`${folder}/seal/tile/entries/000.p/11`, entries.with(99, entries[99]! ^ 1));
    const publicKey = await Deno.readTextFile(`${folder}/seal.pub`);
    assert.notEqual((await fsck?.check(`${folder}/seal`, "example.com/ledger", publicKey))?.accepts, true);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
});
