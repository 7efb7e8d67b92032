import assert from "node:assert/strict";
import { join } from "node:path";
import { pathOf } from "./service_process.ts";
import { decode, type ProgramOutput } from "./start_program.ts";

async function runTests(folder: string): Promise<ProgramOutput> {
  const args = ["test", "--no-prompt", "--config", pathOf("deno.json"), join(folder, "domain_test")];
  return decode(await new Deno.Command(Deno.execPath(), { args, env: { NO_COLOR: "1" } }).output());
}

Deno.test("examples/domain_test: the tests pass, and need no permission", async () => {
  const { code, stdout, stderr } = await runTests(pathOf("examples"));
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /6 passed \| 0 failed/);
});

Deno.test("examples/domain_test: the tests fail when the domain is wrong", async () => {
  const folder = await Deno.makeTempDir();
  try {
    for (const file of ["domain_test/order_test.ts", "deploy/demand.ts", "web_service/order.ts"]) {
      await Deno.mkdir(join(folder, file, ".."), { recursive: true });
      const text = await Deno.readTextFile(pathOf(`examples/${file}`));
      const wrong = text.replace("amount === total,", "true,").replace("pieces + quantity", "quantity");
      assert.equal(wrong === text, file.startsWith("domain_test"));
      await Deno.writeTextFile(join(folder, file), wrong);
    }
    const { code, stdout } = await runTests(folder);
    assert.equal(code, 1);
    assert.match(stdout, /4 passed \| 2 failed/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
