/**
 * Pictures of a guide, which a test makes.
 *
 * @module
 */

import assert from "node:assert/strict";

const MAX_BYTES = 80_000;

/**
 * Verifies that a folder has the pictures that its guide shows, and no others, and that they are small. With AETHER_PICTURES=1
 * they are made again before.
 */
export async function verifyPictures(folder: URL, make: () => Promise<void>): Promise<void> {
  const guide = await Deno.readTextFile(new URL("README.md", folder));
  const named = Array.from(guide.matchAll(/!\[[^\]]+\]\((pictures\/[^)]+)\)/g), ([, path]) => path!).sort();
  assert(named.length > 0);
  if (Deno.env.get("AETHER_PICTURES")) {
    await Deno.mkdir(new URL("pictures/", folder), { recursive: true });
    await make();
  }
  const found = Array.from(Deno.readDirSync(new URL("pictures/", folder)), ({ name }) => `pictures/${name}`);
  assert.deepEqual(found.sort(), named);
  for (const path of found) {
    const { size } = await Deno.stat(new URL(path, folder));
    assert(size > 1_000 && size <= MAX_BYTES, `${path} has ${size} bytes`);
  }
}
