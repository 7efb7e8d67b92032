/** `examples/ledger`: a ledger that is sealed, checked, forged and found out, and a customer who is forgotten. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { installFsck } from "../support/fsck.ts";

const PROGRAM = fileURLToPath(new URL("../../examples/ledger/main.ts", import.meta.url));

Deno.test("examples/ledger shows what a forger cannot hide, and what an erasure does not break", async () => {
  const fsck = await installFsck();
  const parent = await Deno.makeTempDir({ prefix: "aether ledger " });
  const folder = `${parent}/ledger`;
  const program = fsck && `${fsck.folder}/fsck`;
  try {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--allow-read",
        "--allow-write",
        ...program ? [`--allow-run=${program}`] : [],
        "--no-prompt",
        PROGRAM,
        folder,
        ...program ? [program] : [],
      ],
    }).output();
    const judged = fsck ? "accepted" : "not run, because its path is not given";
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

    if (program) await runGuide(program, folder);

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

/** Runs the commands of the auditor's guide as they are written, except that the program is not installed again. */
async function runGuide(program: string, folder: string): Promise<void> {
  const guide = await Deno.readTextFile(new URL("../../src/evidence/README.md", import.meta.url));
  const [, commands = ""] = /```sh\n(GOBIN=[^`]*)```/.exec(guide) ?? [];
  const [install = "", ...lines] = commands.trim().split("\n");
  assert(install.includes("go install") && lines.length === 4, commands);
  const place = await Deno.makeTempDir({ prefix: "aether-guide-" }); // a URL of a path with spaces is written otherwise
  try {
    await Deno.symlink(folder, `${place}/ledger`);
    await Deno.symlink(program, `${place}/fsck`);
    const script = ["set -e", `cd ${place}/ledger`, `ln -s ${place}/fsck fsck`, ...lines].join("\n")
      .replace("example.com/orders", "example.com/ledger");
    const { success, stdout, stderr } = await new Deno.Command("sh", { args: ["-c", script] }).output();
    const [output, judgement] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assert(success && judgement!.includes("Successfully fsck'd log with size 11"), judgement);
    const proof = await Deno.readTextFile(`${folder}/deposit.tlog-proof`);
    const hashes = proof.slice(proof.indexOf("\n", proof.indexOf("\nindex ") + 1) + 1);
    assert(output!.includes(hashes), output);
    const { leaf, salt, event } = JSON.parse(output!.slice(output!.lastIndexOf('{"leaf"')));
    const bytes = new TextEncoder().encode(`${salt}\n${event}`);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
    assert.equal(JSON.parse(leaf).digest, digest);
  } finally {
    await Deno.remove(place, { recursive: true });
  }
}
