import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { decode } from "./start_program.ts";

Deno.test("quick_start.ts prints the order's state, and needs no permission", async () => {
  const program = fileURLToPath(new URL("../../examples/quick_start.ts", import.meta.url));
  const output = await new Deno.Command(Deno.execPath(), { args: ["run", "--no-prompt", program] }).output();
  assert.deepEqual(decode(output), {
    code: 0,
    stdout: [
      "Order state after replaying 2 events:",
      "  Status: shipped",
      "  Total: $99.99",
      "  Tracking: FS123456",
      "",
    ].join("\n"),
    stderr: "",
  });
});
