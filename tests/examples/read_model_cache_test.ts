import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { decode } from "./start_program.ts";

Deno.test("read_model_cache.ts replays an order when it has changed and not before, and needs no permission", async () => {
  const program = fileURLToPath(new URL("../../examples/read_model_cache.ts", import.meta.url));
  const output = await new Deno.Command(Deno.execPath(), { args: ["run", "--no-prompt", program] }).output();
  assert.deepEqual(decode(output), {
    code: 0,
    stdout: [
      "After 1,000 reads: placed, replayed 1 time(s)",
      "After it shipped: shipped, replayed 2 time(s)",
      "After another order: shipped, replayed 2 time(s)",
      "",
    ].join("\n"),
    stderr: "",
  });
});
