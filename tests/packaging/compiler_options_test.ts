/** The library is type-checked with the compiler options of the program that uses it: it fits the default and the strictest. */

import { join } from "node:path";
import { denoOk, ROOT } from "./deno_program.ts";

const PACKAGE = "@flowmade-one/aether";
const OPTIONS: Readonly<Record<string, Readonly<Record<string, boolean>>>> = {
  "default": {},
  "strictest": {
    allowUnreachableCode: false,
    allowUnusedLabels: false,
    erasableSyntaxOnly: true,
    exactOptionalPropertyTypes: true,
    noFallthroughCasesInSwitch: true,
    noImplicitOverride: true,
    noImplicitReturns: true,
    noPropertyAccessFromIndexSignature: true,
    noUncheckedIndexedAccess: true,
    noUnusedLocals: true,
    noUnusedParameters: true,
    strict: true,
    useUnknownInCatchVariables: true,
    verbatimModuleSyntax: true,
  },
};

/** A program that loads every entry of the package. */
async function program(): Promise<string> {
  const { exports } = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json"))) as {
    exports: Readonly<Record<string, string>>;
  };
  const entries = Object.keys(exports).map((entry) => PACKAGE + entry.slice(1));
  const imports = entries.map((entry, index) => `import * as entry${index} from "${entry}";`);
  return `${imports.join("\n")}\nconsole.log([${
    entries.map((_, index) => `entry${index}`).join(", ")
  }].length);\n`;
}

async function writeJson(path: string, json: unknown): Promise<void> {
  await Deno.writeTextFile(path, JSON.stringify(json));
}

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "aether options " });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copyFolder(join(from, name), join(to, name));
    else await Deno.copyFile(join(from, name), join(to, name));
  }
}

for (const [name, compilerOptions] of Object.entries(OPTIONS)) {
  Deno.test(`the package type-checks under the ${name} compiler options of a program that links it`, () =>
    withFolder(async (folder) => {
      await writeJson(join(folder, "deno.json"), {
        links: [ROOT],
        imports: { [PACKAGE]: `jsr:${PACKAGE}@*`, [`${PACKAGE}/`]: `jsr:/${PACKAGE}@*/` },
        compilerOptions,
      });
      await Deno.writeTextFile(join(folder, "main.ts"), await program());
      await denoOk(["check", "main.ts"], { cwd: folder });
    }));

  Deno.test(`the package type-checks under the ${name} compiler options of a workspace that it is a member of`, () =>
    withFolder(async (folder) => {
      await writeJson(join(folder, "deno.json"), { workspace: ["./aether", "./app"], compilerOptions });
      const member = join(folder, "aether");
      await Deno.mkdir(member);
      // Without options of its own, a member has those of the workspace.
      const { name, version, exports, imports } = JSON.parse(
        await Deno.readTextFile(join(ROOT, "deno.json")),
      );
      await writeJson(join(member, "deno.json"), { name, version, exports, imports });
      await Deno.copyFile(join(ROOT, "mod.ts"), join(member, "mod.ts"));
      await copyFolder(join(ROOT, "src"), join(member, "src"));
      await Deno.mkdir(join(folder, "app"));
      await writeJson(join(folder, "app", "deno.json"), { name: "@example/app" });
      await Deno.writeTextFile(join(folder, "app", "main.ts"), await program());
      await denoOk(["check", "app/main.ts"], { cwd: folder });
    }));
}
