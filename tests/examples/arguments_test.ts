import assert from "node:assert/strict";
import { Workplace } from "./start_program.ts";

Deno.test("start help lists every command", async () => {
  await using place = await Workplace.make();
  const help = await place.succeed("help");
  for (const part of ["start import FILE", "start show CASE", "start help", "--data DIR", "--skip-bad"]) {
    assert(help.includes(part), part);
  }
  assert.equal(await place.succeed("--help"), help);
  assert.equal(await place.succeed("import", "--help"), help);
});

const MISUSES: Record<string, [args: string[], complaint: RegExp]> = {
  "an unknown command": [["imprt", "log.csv"], /There is no command "imprt"/],
  "an unknown option": [["import", "log.csv", "--skipbad"], /--skipbad/],
  "an option of another command": [["show", "case-1", "--skip-bad"], /--skip-bad/],
  "an option without its value": [["import", "log.csv", "--case"], /--case/],
  "an import of nothing": [["import"], /Which file/],
  "a show of nothing": [["show"], /Which case/],
  "one argument too many": [["show", "case", "7"], /"7" is one argument too many/],
  "an unknown format": [["import", "log.xes", "--format", "xes"], /--format is csv or ndjson, not "xes"/],
};

for (const [misuse, [args, complaint]] of Object.entries(MISUSES)) {
  Deno.test(`start answers ${misuse} with the usage and exit code 2`, async () => {
    await using place = await Workplace.make();
    const answer = await place.fail(2, ...args);
    assert.match(answer, complaint);
    assert.match(answer, /deno task start import FILE/);
  });
}

Deno.test("start refuses a namespace that is none", async () => {
  await using place = await Workplace.make();
  await place.write("log.csv", "x\n");
  assert.match(
    await place.fail(1, "import", "log.csv", "--namespace", "a/b"),
    /namespace: "a\/b" is not a name/,
  );
});
