import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

Deno.test("a million events through ten subscribers leave the heap as it was, and what slow ones lose is counted", async () => {
  const program = fileURLToPath(new URL("./programs/million.ts", import.meta.url));
  const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--config", config, "--no-check", "--v8-flags=--expose-gc", program],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  const { first, last, counts, lost, pending } = JSON.parse(new TextDecoder().decode(stdout));
  const grown = (last - first) / 1024 / 1024;
  assert(grown < 50, `the heap has grown by ${grown.toFixed(1)} MiB`);
  for (let index = 0; index < 10; index++) {
    const slow = index < 3;
    assert.equal(lost[index] > 0, slow, `subscriber ${index} has lost ${lost[index]}`);
    assert.equal(counts[index] + lost[index] + pending[index], 1_000_000, `subscriber ${index}`);
  }
});
