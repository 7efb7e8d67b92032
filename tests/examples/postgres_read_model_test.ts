import assert from "node:assert/strict";
import { startNatsServer } from "../support/nats_server.ts";
import { startPostgresServer } from "../support/postgres_server.ts";
import { pathOf } from "./service_process.ts";

Deno.test("the example with events in NATS and a read model in PostgreSQL counts each order once, also after a kill", async () => {
  await using database = await startPostgresServer("examples/postgres_read_model.ts");
  if (!database) return;
  await using server = await startNatsServer();
  const start = (): Deno.ChildProcess =>
    new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "--config",
        pathOf("deno.json"),
        "--allow-net",
        "--allow-env",
        pathOf("examples/postgres_read_model.ts"),
        server.url,
        database.url,
        "2000",
      ],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
  for (const [signal, sold] of [["SIGKILL", 3], ["SIGINT", 6]] as const) {
    const program = start();
    let output = "";
    for await (const text of program.stdout.pipeThrough(new TextDecoderStream())) {
      output += text;
      if (output.includes("sold\n")) program.kill(signal);
    }
    await program.status;
    assert.equal(output, `pen: ${sold} sold\n`);
  }
});
