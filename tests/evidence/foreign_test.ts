/** Seals are judged by programs of others: Tessera's fsck, and a second implementation in Python. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { proveEvent, SealFolder, sealOnce, verifySeal } from "../../src/evidence/mod.ts";
import { InMemoryEventStore } from "../../src/store/memory/mod.ts";
import { installFsck } from "../support/fsck.ts";
import { Random } from "../support/random.ts";
import { fill, ORIGIN, sealFixture } from "./support.ts";

/** The files of a seal that are published. */
async function published(path: string, below = ""): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(`${path}/${below}`)) {
    if (below === "" && name === "private") continue;
    if (isDirectory) files.push(...await published(path, `${below}${name}/`));
    else files.push(below + name);
  }
  return files.sort();
}

Deno.test("fsck accepts a seal at each size around those of tiles", async () => {
  const fsck = await installFsck();
  if (!fsck) return;
  await using store = new InMemoryEventStore();
  await using seal = await sealFixture();
  let size = 0;
  for (const step of [1, 254, 1, 1, 255, 700]) {
    await fill(store, step);
    size += step;
    const { root } = await sealOnce(store, seal.folder, { signer: seal.signer });
    const { accepts, output } = await fsck.check(seal.path, ORIGIN, seal.key);
    assert(accepts && output.includes(`size ${size}`) && output.includes(root), output);
  }
});

const MUTATIONS = Deno.env.get("AETHER_CHAOS_ROUNDS") ? 1_000 : 40;

Deno.test(`fsck and verifySeal() refuse a seal after each of ${MUTATIONS} random mutations`, async () => {
  const fsck = await installFsck();
  const seed = Number(Deno.env.get("AETHER_CHAOS_SEED") ?? Math.floor(Math.random() * 2 ** 31));
  const random = new Random(seed);
  const next = (bound: number): number => Math.floor(random.next() * bound);
  await using store = new InMemoryEventStore();
  await using seal = await sealFixture();
  const { path, key } = seal;
  await fill(store, 1_300);
  await sealOnce(store, seal.folder, { signer: seal.signer });
  const files = await published(path);
  for (let round = 0; round < MUTATIONS; round++) {
    const file = files[next(files.length)]!;
    const bytes = await Deno.readFile(`${path}/${file}`);
    const what = await mutate(path, file, bytes, next);
    const hint = `${file}: ${what}, seed ${seed}`;
    const ours = await verifySeal(new SealFolder(path), { key, origin: ORIGIN }).then(
      ({ ok }) => ok,
      () => false,
    );
    assert.equal(ours, false, `verifySeal() accepts ${hint}`);
    // What follows the hashes of a partial tile could be those of the full one: fsck does not read it.
    const isIgnored = what === LONGER && /^tile\/\d+\/.*\.p/.test(file);
    const theirs = isIgnored ? undefined : await fsck?.check(path, ORIGIN, key);
    assert.notEqual(theirs?.accepts, true, `fsck accepts ${hint}`);
    await Deno.writeFile(`${path}/${file}`, bytes);
  }
  assert((await verifySeal(seal.folder, { key })).ok);
  if (fsck) assert((await fsck.check(path, ORIGIN, key)).accepts);
});

const LONGER = "a byte longer";

/** Changes a file in some way. */
async function mutate(
  path: string,
  file: string,
  bytes: Uint8Array,
  next: (bound: number) => number,
): Promise<string> {
  const at = next(bytes.length);
  const write = (changed: Uint8Array): Promise<void> => Deno.writeFile(`${path}/${file}`, changed);
  switch (next(5)) {
    case 0:
      await Deno.remove(`${path}/${file}`);
      return "removed";
    case 1:
      await write(bytes.subarray(0, at));
      return `cut to ${at} bytes`;
    case 2:
      await write(new Uint8Array([...bytes, next(256)]));
      return LONGER;
    case 3:
      await write(new Uint8Array([...bytes.subarray(0, at), ...bytes.subarray(at + 1)]));
      return `without byte ${at}`;
    default: {
      // The last character of the signature has bits that Go's decoder ignores: the signature is the same then.
      const place = file === "checkpoint" ? Math.min(at, bytes.length - 4) : at;
      await write(bytes.with(place, bytes[place]! ^ 1 << next(8)));
      return `a bit of byte ${place} flipped`;
    }
  }
}

Deno.test("a second implementation computes the same root and digests, and verifies each proof", async () => {
  await using store = new InMemoryEventStore();
  await using seal = await sealFixture();
  const positions = await fill(store, 1_300, 7, '\u00e4\u2028\ud83d\ude00 "\\ \u0001');
  const { root, size } = await sealOnce(store, seal.folder, { signer: seal.signer });
  const proofs: string[] = [];
  for (const at of [0, 1, 254, 255, 256, 511, 512, 700, 1_023, 1_024, 1_298, 1_299]) {
    proofs.push(`${seal.path}/${at}.tlog-proof`);
    await Deno.writeTextFile(proofs.at(-1)!, await proveEvent(store, seal.folder, positions[at]!));
  }
  const script = fileURLToPath(new URL("./second_implementation.py", import.meta.url));
  const events = `${seal.path}/events.json`;
  await Deno.writeTextFile(events, JSON.stringify(await Array.fromAsync(store.readAll())));
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command("python3", { args: [script, seal.path, events, ...proofs] }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.warn("NOT TESTED: seals with a second implementation. Put python3 on the PATH");
    return;
  }
  const text = new TextDecoder().decode(output.stdout);
  assert.equal(
    text.trim(),
    `${size} ${root} ${proofs.length} proofs`,
    new TextDecoder().decode(output.stderr),
  );
});
