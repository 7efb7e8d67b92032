/**
 * Telemetry with an OpenTelemetry SDK as npm installs it: each brings the version of OpenTelemetry's API that it was made for,
 * and what is registered by an older API than a library's own is not seen by that library, without a word.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { denoOk, publishedRegistry } from "./deno_program.ts";

/** A text, and no module, because the packages that it imports are those of its own folder. */
const PROGRAM = fileURLToPath(new URL("sdk_program.ts.txt", import.meta.url));

/** SDKs by the API that they are made for. */
const SDKS = {
  "1.9": {
    "@opentelemetry/api": "npm:@opentelemetry/api@1.9.0",
    "@opentelemetry/context-async-hooks": "npm:@opentelemetry/context-async-hooks@2.12.1",
    "@opentelemetry/sdk-metrics": "npm:@opentelemetry/sdk-metrics@2.12.1",
    "sdk-trace": "npm:@opentelemetry/sdk-trace-base@2.12.1",
  },
  "1.10": {
    "@opentelemetry/api": "npm:@opentelemetry/api@1.10.0",
    "@opentelemetry/context-async-hooks": "npm:@opentelemetry/context-async-hooks@3.1.0",
    "@opentelemetry/sdk-metrics": "npm:@opentelemetry/sdk-metrics@3.1.0",
    "sdk-trace": "npm:@opentelemetry/sdk-trace@3.1.0",
  },
};

interface Reported {
  readonly spans: readonly (readonly [name: string, parent: string | null])[];
  readonly metrics: Readonly<Record<string, number>>;
}

Deno.test("an OpenTelemetry SDK of npm's gets the spans and metrics of the package, for each API it brings", async (t) => {
  await using registry = await publishedRegistry();
  const { name, version } = registry.publication;
  const { npmCache } = JSON.parse(await denoOk(["info", "--json"])) as { npmCache: string };
  await Deno.mkdir(npmCache, { recursive: true });
  for (const [api, imports] of Object.entries(SDKS)) {
    const folder = await Deno.makeTempDir({ prefix: "aether sdk " });
    const cache = join(folder, "cache");
    await Deno.mkdir(cache);
    await Deno.symlink(npmCache, join(cache, "npm"), { type: "dir" });
    try {
      const config = { imports: { ...imports, [name]: `jsr:${name}@^${version}` } };
      await Deno.writeTextFile(join(folder, "deno.json"), JSON.stringify(config));
      await Deno.copyFile(PROGRAM, join(folder, "main.ts"));
      const env = { JSR_URL: registry.url, DENO_DIR: cache };
      for (const order of ["before", "after"]) {
        await t.step(`API ${api}, registered ${order} the package is imported`, async () => {
          const args = ["run", "--allow-all", "--no-check", "main.ts", order];
          const output = await denoOk(args, { cwd: folder, env });
          const { spans, metrics } = JSON.parse(output.trim().split("\n").at(-1)!) as Reported;
          const parentsOf = (span: string): (string | null)[] =>
            spans.filter(([own]) => own === span).map(([, parent]) => parent);
          assert.deepEqual(parentsOf("aether.save").sort(), ["aether.project", "request"]);
          assert.deepEqual(parentsOf("aether.project"), ["aether.save", "aether.save", "aether.save"]);
          assert.equal(metrics["aether.store.saves"], 2);
          assert.equal(metrics["aether.store.events"], 4);
          assert.equal(metrics["aether.projection.events"], 3);
          assert.equal(metrics["aether.subscription.lag"], 4, "each event that a subscriber took");
        });
      }
    } finally {
      await Deno.remove(join(cache, "npm")); // the link, not what it leads to
      await Deno.remove(folder, { recursive: true });
    }
  }
});
