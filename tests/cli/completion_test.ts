/** Completion of command lines, in the shells themselves. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { shell } from "./command_line.ts";

const SHELLS: Readonly<Record<string, string>> = {
  bash: "bash --norc",
  zsh: "zsh -f",
  fish: "fish --no-config",
};

for (const [name, command] of Object.entries(SHELLS)) {
  Deno.test(`${name} completes a command and an option of aether`, async () => {
    if ((await shell(`command -v ${name}`)).code !== 0) {
      return console.warn(`NOT TESTED: completion in ${name}. Install it (apt-get install ${name}).`);
    }
    const file = fileURLToPath(new URL(`./programs/complete.${name}`, import.meta.url));
    const { text } = await shell(`timeout 60 ${command} "$1"`, [file]);
    assert.match(text, /^log\b[^]*^--given\b/m);
  });
}
