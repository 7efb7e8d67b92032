import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { decode } from "./start_program.ts";

Deno.test("quick_start.ts prints the state and the history of an account, and needs no permission", async () => {
  const program = fileURLToPath(new URL("../../examples/quick_start.ts", import.meta.url));
  const output = await new Deno.Command(Deno.execPath(), { args: ["run", "--no-prompt", program] }).output();
  assert.deepEqual(decode(output), {
    code: 0,
    stdout: "Balance 7 at version 2\n1 Deposited 10\n2 Withdrawn 3\n",
    stderr: "",
  });
});
