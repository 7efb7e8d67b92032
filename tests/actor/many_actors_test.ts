/** Many more actors than a host may have in memory. `AETHER_CHAOS_ROUNDS=n` calls a million of them. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const isLong = Number(Deno.env.get("AETHER_CHAOS_ROUNDS") ?? 0) > 0;
const [ACTORS, MAX_ACTIVE] = isLong ? [1_000_000, 50_000] : [8_000, 400];
/** The most that the heap may grow by, in bytes for each actor that came and went. */
const GROWTH = 8;
/** What may be on its way, in bytes. */
const SLACK = 512 * 1_024;

Deno.test("a host that has called many more actors than it keeps needs no more memory than before", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const program = fileURLToPath(new URL("./many_actors.ts", import.meta.url));
    const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
    const flags = ["--allow-all", "--no-check", "--quiet", "--v8-flags=--expose-gc", "--config", config];
    const args = ["run", ...flags, program, `${folder}/actors.db`, String(ACTORS), String(MAX_ACTIVE)];
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    const seen = JSON.parse(new TextDecoder().decode(stdout));
    if (isLong) console.log(seen);
    assert.ok(seen.mostActive >= MAX_ACTIVE && seen.mostActive <= MAX_ACTIVE + 1_000, `${seen.mostActive}`);
    assert.ok(seen.active <= MAX_ACTIVE + 1, `${seen.active} active`);
    const growth = seen.after - seen.before;
    assert.ok(growth < SLACK + GROWTH * ACTORS, `the heap grew by ${growth} bytes`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
