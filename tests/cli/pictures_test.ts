/** The pictures of the guide. With AETHER_PICTURES=1 they are made again. */

import { AnsiUp } from "ansi_up";
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { DenoKvCheckpoints, DenoKvEventStore, projectOnce } from "../../mod.ts";
import { startBrowser } from "../studio/browser/browser.ts";
import { fillShop, type OrderEvent, Shipments } from "../studio/browser/orders.ts";
import { kvFolder } from "../support/kv_file.ts";
import { verifyPictures } from "../support/pictures.ts";
import { PROGRAM } from "./command_line.ts";

const FOLDER = new URL("../../src/cli/", import.meta.url);
const COLUMNS = 104;

/** What is typed for each picture. */
const SESSIONS = {
  show: [
    "aether show orders.kv order-77",
    "aether show orders.kv order-77 --diff 3..5 --decider order.ts#order",
  ],
  projections: ["aether projections orders.kv", "aether parked list orders.kv shipments"],
  health: ["aether verify orders.kv", "aether diagnose orders.kv"],
};

Deno.test("each picture of the guide exists, is small, and shows the commands as they are", async () => {
  await verifyPictures(FOLDER, makePictures);
});

async function makePictures(): Promise<void> {
  await using browser = await startBrowser("the pictures of the guide");
  if (!browser) return;
  await using shop = await kvFolder();
  await fill(`${shop.path}/orders.kv`);
  await Deno.copyFile(new URL("../studio/browser/orders.ts", import.meta.url), `${shop.path}/order.ts`);
  for (const [name, lines] of Object.entries(SESSIONS)) {
    const parts: string[] = [];
    for (const line of lines) parts.push(`\u001b[1m$ ${line}\u001b[0m\n${await onTerminal(shop.path, line)}`);
    await using page = await browser.open(`data:text/html,${encodeURIComponent(pageOf(parts.join("\n")))}`, {
      width: 1000,
    });
    const path = fileURLToPath(new URL(`pictures/${name}.webp`, FOLDER));
    const terminal = await page.page.$("pre");
    await terminal!.screenshot({ path: path as `${string}.webp`, type: "webp", quality: 60 });
  }
}

async function fill(file: string): Promise<void> {
  await using store = await DenoKvEventStore.open<OrderEvent>(file);
  await using checkpoints = await DenoKvCheckpoints.open(file);
  await fillShop(store);
  await projectOnce(store, new Shipments(checkpoints as never).projection);
}

/** What a command prints on a terminal. */
async function onTerminal(folder: string, line: string): Promise<string> {
  const aether = `${Deno.execPath()} run --quiet --no-prompt --unstable-kv -A ${PROGRAM}`;
  const command = `stty cols ${COLUMNS}; ${line.replace("aether", aether)} 2>/dev/null`;
  const { code, stdout } = await new Deno.Command("script", {
    args: ["--quiet", "--return", "--command", command, "/dev/null"],
    cwd: folder,
    stdin: "null",
  }).output();
  assert.equal(code, 0, line);
  return new TextDecoder().decode(stdout).replaceAll("\r\n", "\n");
}

/** A page that looks like a terminal. */
function pageOf(text: string): string {
  const colours = new AnsiUp();
  colours.use_classes = true;
  return `<!doctype html><meta charset="utf-8"><style>
    body { margin: 0; background: #16181d }
    pre { box-sizing: border-box; width: 1000px; margin: 0; padding: 20px 24px; white-space: pre-wrap;
      font: 14px/1.45 monospace; color: #d6d9df; background: #16181d }
    .ansi-red-fg { color: #ff7b72 } .ansi-green-fg { color: #56d364 } .ansi-yellow-fg { color: #e3b341 }
  </style><pre>${colours.ansi_to_html(text.trimEnd())}</pre>`;
}
