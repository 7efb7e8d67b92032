import assert from "node:assert/strict";
import { Workplace } from "./start_program.ts";

Deno.test("start help lists every command", async () => {
  await using place = await Workplace.make();
  const help = await place.succeed("help");
  for (const part of ["start import ", "start show ", "start help", "--data DIR", "--skip-bad"]) {
    assert(help.includes(part), part);
  }
  assert.equal(await place.succeed("--help"), help);
  const ofImport = await place.succeed("import", "--help");
  assert.match(ofImport, /--skip-bad +Lists bad rows/);
  assert.equal(await place.succeed("help", "import"), ofImport);
});

Deno.test("deno task start takes files and folders from where it was called", async () => {
  await using place = await Workplace.make();
  await place.write("log.csv", "case,step,at\nc 1,Begun,2026-01-01T00:00:00Z\n");
  const columns = ["--case", "case", "--activity", "step", "--timestamp", "at"];
  const imported = await place.task("import", "log.csv", "--data", "its data", ...columns);
  assert.equal(imported.code, 0, imported.stderr);
  assert.match(imported.stdout, /deno task start show 'c 1' --data '.*its data'\n/);
  const { code, stdout } = await place.task("show", "c 1", "--data", "its data");
  assert.equal(code, 0);
  assert.match(stdout, /Current activity +Begun\n/);
  assert.deepEqual([...Deno.readDirSync(place.path)].map(({ name }) => name).sort(), ["its data", "log.csv"]);
});

const MISUSES: Record<string, [args: string[], complaint: RegExp]> = {
  "an unknown command": [["imprt", "log.csv"], /`imprt`.*Did you mean `import`/s],
  "an unknown option": [["import", "log.csv", "--skipbad"], /--skipbad/],
  "an option of another command": [["show", "case-1", "--skip-bad"], /--skip-bad/],
  "an option without its value": [["import", "log.csv", "--case"], /--case/],
  "an import of nothing": [["import"], /Expected a `FILE`/],
  "a show of nothing": [["show"], /Expected a `CASE`/],
  "one argument too many": [["show", "case", "7"], /Unexpected option or subcommand: `7`/],
  "an unknown format": [
    ["import", "log.xes", "--format", "xes"],
    /`--format`: Expected one of "csv" and "ndjson", but got "xes"/,
  ],
  "an empty delimiter": [["import", "log.csv", "--delimiter="], /`--delimiter`: It must not be empty/],
};

for (const [misuse, [args, complaint]] of Object.entries(MISUSES)) {
  Deno.test(`start answers ${misuse} with the usage and exit code 2`, async () => {
    await using place = await Workplace.make();
    const answer = await place.fail(2, ...args);
    assert.match(answer, complaint);
    assert.match(answer, /deno task start import .* FILE/);
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
