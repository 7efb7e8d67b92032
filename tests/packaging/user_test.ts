/**
 * What a user does, with the real client: in an empty folder, `deno add`, then a program for each export, with the
 * least permissions.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startNatsServer } from "../support/nats_server.ts";
import { deno, denoOk, type DenoOptions, type DenoOutput, publishedRegistry } from "./deno_program.ts";

const PROGRAMS = fileURLToPath(new URL("programs/", import.meta.url));

/** The folder of a user who has added the package, and nothing else. */
class Project implements AsyncDisposable {
  readonly #options: DenoOptions;

  private constructor(
    /** Where the user works. */
    readonly path: string,
    /** Where `deno` keeps what it downloads and compiles. */
    private readonly cache: string,
    registryUrl: string,
  ) {
    this.#options = { cwd: path, env: { JSR_URL: registryUrl, DENO_DIR: cache } };
  }

  static async make(registryUrl: string): Promise<Project> {
    const path = await Deno.makeTempDir({ prefix: "aether user " });
    const cache = await Deno.makeTempDir({ prefix: "aether cache " });
    const project = new Project(path, cache, registryUrl);
    // npm's packages come from npm, and are the same for every project: they share what this machine has of them.
    const { npmCache } = JSON.parse(await denoOk(["info", "--json"])) as { npmCache: string };
    await Deno.mkdir(npmCache, { recursive: true });
    await Deno.symlink(npmCache, join(cache, "npm"), { type: "dir" });
    return project;
  }

  /** Runs `deno` in the folder. */
  deno(...args: string[]): Promise<DenoOutput> {
    return deno(args, this.#options);
  }

  /** Runs `deno` in the folder, which must work, and returns what it printed. */
  denoOk(...args: string[]): Promise<string> {
    return denoOk(args, this.#options);
  }

  /** What `deno info` says a module is made of. */
  async graphOf(specifier: string): Promise<ModuleGraph> {
    return JSON.parse(await this.denoOk("info", "--json", specifier)) as ModuleGraph;
  }

  /** Writes a program of `programs/` into the folder. */
  async write(program: string, name: string = program): Promise<void> {
    await Deno.copyFile(join(PROGRAMS, program), join(this.path, name));
  }

  /** Reads or replaces the user's `deno.json`. */
  async config(replacement?: Record<string, unknown>): Promise<Record<string, unknown>> {
    const path = join(this.path, "deno.json");
    if (replacement) await Deno.writeTextFile(path, JSON.stringify(replacement));
    return JSON.parse(await Deno.readTextFile(path)) as Record<string, unknown>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
    await Deno.remove(join(this.cache, "npm")); // the link, not what it leads to
    await Deno.remove(this.cache, { recursive: true });
  }
}

Deno.test("a user adds the package to an empty folder, checks and runs a program for each export", async (t) => {
  await using registry = await publishedRegistry();
  const { name, version } = registry.publication;
  await using project = await Project.make(registry.url);

  await t.step("deno add makes a deno.json that needs nothing more", async () => {
    await project.denoOk("add", `jsr:${name}`);
    assert.deepEqual(await project.config(), { imports: { [name]: `jsr:${name}@^${version}` } });
  });

  await t.step("deno check finds the types of every export", async () => {
    for await (const { name: program } of Deno.readDir(PROGRAMS)) await project.write(program);
    await project.denoOk("check", ".");
  });

  // `--no-npm`: whatever such a program loads, no package of npm is among it, NATS least of all.
  const withoutPermission = [
    ["all.ts", "15\n"],
    ["memory.ts", "1\n"],
    ["backend.ts", "commit\n"],
    ["bus.ts", "hello world\n"],
    ["cluster.ts", "true\n"],
    ["actor.ts", "5\n"],
    ["projection.ts", "1\n"],
  ] as const;
  for (const [program, output] of withoutPermission) {
    await t.step(`${program} runs without a permission and without a package`, async () => {
      assert.equal(await project.denoOk("run", "--no-prompt", "--no-npm", program), output);
    });
  }

  await t.step("studio.ts has the files of its page without a permission", async () => {
    assert.equal(await project.denoOk("run", "--no-prompt", "studio.ts"), "200 true 1\n");
  });

  await t.step("deno_kv.ts prints what to put into deno.json, and then needs its file alone", async () => {
    const run = ["run", "--no-prompt", "--no-npm"];
    const file = ["--allow-read=orders.kv", "--allow-write=orders.kv"];
    const disabled = await project.deno(...run, ...file, "deno_kv.ts");
    assert.equal(disabled.code, 1);
    assert.match(
      disabled.stderr,
      /StoreOpenError: Deno KV is not enabled: add "unstable": \["kv"\] to deno.json/,
    );

    await project.config({ ...await project.config(), unstable: ["kv"] });
    for (const permission of file) {
      const refused = await project.deno(...run, permission, "deno_kv.ts");
      assert.equal(refused.code, 1);
      assert.match(
        refused.stderr,
        /StoreOpenError: .*run with --allow-read and --allow-write for "orders.kv"/,
      );
    }
    assert.equal(await project.denoOk(...run, ...file, "deno_kv.ts"), "placed\n");
    assert.equal(await project.denoOk(...run, ...file, "deno_kv.ts"), "already placed\n");
  });

  await t.step("programs on NATS need the address of the server alone", async () => {
    await using server = await startNatsServer();
    const address = `127.0.0.1:${server.port}`;
    const refused = await project.deno("run", "--no-prompt", "jetstream.ts", server.url);
    assert.equal(refused.code, 1);
    assert(refused.stderr.includes(`has no permission to reach ${address}: run with --allow-net=${address}`));

    const run = ["run", "--no-prompt", `--allow-net=${address}`];
    assert.equal(await project.denoOk(...run, "jetstream.ts", server.url), "order-1 1\n");
    assert.equal(await project.denoOk(...run, "cluster_nats.ts", server.url), "gained 0\nreport\n");
  });

  await t.step("deno test runs a specification and the conformance suite, without a permission", async () => {
    await project.write("conformance.ts", "conformance_test.ts");
    const output = await project.denoOk("test", "--no-prompt", "conformance_test.ts");
    const [, passed] = /ok \| (\d+) passed/.exec(output) ?? [];
    assert(Number(passed) > 100, output);
  });

  await t.step("each export loads its own packages at start, and no others", async () => {
    const nats = ["@nats-io/nats-core", "@nats-io/transport-node"];
    const telemetry = "@opentelemetry/api";
    const expected: Record<string, Packages> = {
      ".": { atStart: [], later: [...nats, telemetry] },
      "./actor": { atStart: [], later: [...nats, telemetry] },
      "./backend": { atStart: [], later: [telemetry] },
      "./bus": { atStart: [], later: [...nats, telemetry] },
      "./cli": {
        atStart: [],
        later: [...nats, telemetry, "@optique/core", "cli-progress", "htm", "microdiff", "string-width"],
      },
      "./cluster": { atStart: [], later: nats },
      "./cron": { atStart: ["croner"], later: [] },
      "./deno-kv": { atStart: [], later: [telemetry] },
      "./evidence": { atStart: [], later: [...nats, telemetry] },
      "./jetstream": { atStart: [], later: [...nats, telemetry] },
      "./memory": { atStart: [], later: [telemetry] },
      "./projection": { atStart: [], later: [...nats, telemetry] },
      "./studio": { atStart: ["htm"], later: [telemetry, "microdiff", "string-width"] },
      "./testing": { atStart: ["fast-check"], later: [...nats, telemetry] },
    };
    const packages: Record<string, Packages> = {};
    for (const entry of Object.keys(registry.publication.exports)) {
      const graph = await project.graphOf(`jsr:${name}@${version}${entry.slice(1)}`);
      const atStart = packagesAmong(reachedModules(graph, false));
      const later = packagesAmong(reachedModules(graph, true)).filter((found) => !atStart.includes(found));
      packages[entry] = { atStart, later };
    }
    assert.deepEqual(packages, expected);
  });

  await t.step(
    "a store's export holds no other store's modules, and only JetStream's those for NATS",
    async () => {
      const foreign = {
        memory: ["/store/deno_kv/", "/store/jetstream/", "/nats/"],
        "deno-kv": ["/store/memory/", "/store/jetstream/", "/nats/"],
        jetstream: ["/store/memory/", "/store/deno_kv/"],
      };
      for (const [store, folders] of Object.entries(foreign)) {
        const modules = reachedModules(await project.graphOf(`jsr:${name}@${version}/${store}`), true);
        assert(modules.some((module) => module.includes(`/store/${store.replace("-", "_")}/`)));
        for (const folder of folders) {
          assert.deepEqual(
            modules.filter((module) => module.includes(folder)),
            [],
            `${store} holds ${folder}`,
          );
        }
      }
    },
  );
});

/** The npm packages that a module graph names, sorted. */
interface Packages {
  /** Loaded with the module. */
  readonly atStart: readonly string[];
  /** Loaded by `import()`, when they are needed. */
  readonly later: readonly string[];
}

/** As much of `deno info --json` as is looked at here. A dependency with a type alone is not loaded. */
interface ModuleGraph {
  readonly roots: readonly [string];
  readonly redirects: Readonly<Record<string, string>>;
  readonly modules: readonly {
    readonly specifier: string;
    readonly dependencies?: readonly {
      readonly code?: { readonly specifier: string };
      readonly isDynamic?: boolean;
    }[];
  }[];
}

/** The modules that are loaded at start; with `later`, also those that `import()` may load. */
function reachedModules({ roots, redirects, modules }: ModuleGraph, later: boolean): string[] {
  const bySpecifier = new Map(modules.map((module) => [module.specifier, module]));
  const reached = new Set<string>();
  const todo: string[] = [...roots];
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const specifier = redirects[next] ?? next;
    if (reached.has(specifier)) continue;
    reached.add(specifier);
    for (const { code, isDynamic } of bySpecifier.get(specifier)?.dependencies ?? []) {
      if (code && (later || !isDynamic)) todo.push(code.specifier);
    }
  }
  assert(reached.size > 5, "the graph was not followed");
  return [...reached];
}

function packagesAmong(modules: readonly string[]): string[] {
  return modules.flatMap((module) => /^npm:\/((?:@[^/@]+\/)?[^/@]+)/.exec(module)?.[1] ?? []).sort();
}
