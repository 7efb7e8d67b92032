/** The oldest Deno that a user may have, as the README names it. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { startNatsServer } from "../support/nats_server.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

Deno.test("stores, projections, actors and the cluster work on the oldest Deno that the README names", async () => {
  const readme = await Deno.readTextFile(`${ROOT}README.md`);
  const [, oldest] = /^Deno (\d+\.\d+\.\d+) or newer/m.exec(readme) ?? [];
  assert.ok(oldest);
  const deno = (...args: string[]): Promise<Deno.CommandOutput> =>
    new Deno.Command("npx", { args: ["-y", `deno@${oldest}`, ...args], cwd: ROOT }).output();
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  const found = await deno("--version").catch((error: Error) => error);
  if (found instanceof Error || found.code !== 0) {
    const why = found instanceof Error ? found.message : text(found.stderr);
    return console.warn(`NOT TESTED: Deno ${oldest}, which npx cannot obtain: ${why}`);
  }
  assert.match(text(found.stdout), new RegExp(`^deno ${oldest.replaceAll(".", "\\.")}\\b`));
  await using server = await startNatsServer();
  const folder = await Deno.makeTempDir();
  try {
    const program = "tests/packaging/programs/oldest_deno.ts";
    const { stdout, stderr } = await deno("run", "--allow-all", "--no-lock", program, server.url, folder);
    assert.equal(text(stdout), "Deno KV 1 true\nJetStream 3 4 true\ncluster true\n", text(stderr));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
