/** Sealers of two branches of a log, which a restored backup makes: none of them changes what the other has sealed. */

import assert from "node:assert/strict";
import {
  SealError,
  SealFolder,
  sealOnce,
  type SealPlace,
  verifySeal,
  verifySealedLog,
} from "../../src/evidence/mod.ts";
import { DenoKvEventStore } from "../../src/store/deno_kv/mod.ts";
import { InMemoryEventStore } from "../../src/store/memory/mod.ts";
import { fill, sealFixture } from "./support.ts";

/** In short: what a read finds while its sealer is suspended is the same as at its beginning. */
const SUSPENDS = Deno.env.get("AETHER_CHAOS_ROUNDS") ? /./ : /^replace|^removeFolder/;
const SEALED = 40;
const MORE = 230;

/** A place that calls a function before each of its operations. */
function observed(place: SealFolder, before: (name: string) => Promise<void>): SealPlace {
  const step = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    await before(name);
    return await work();
  };
  return {
    read: (path) => step(`read ${path}`, () => place.read(path)),
    isEmpty: () => step("isEmpty", () => place.isEmpty()),
    replace: (path, bytes, expected) => step(`replace ${path}`, () => place.replace(path, bytes, expected)),
    removeFolder: (path) => step(`removeFolder ${path}`, () => place.removeFolder(path)),
  };
}

/** A log with a seal, and what it became before and after it was restored. */
interface Branches extends AsyncDisposable {
  readonly before: DenoKvEventStore;
  readonly after: DenoKvEventStore;
  readonly signer: { readonly key: string };
  readonly key: string;
  /** A copy of the seal of what both have in common. */
  copy(): Promise<string>;
}

async function branches(): Promise<Branches> {
  const seal = await sealFixture();
  const [file, restored] = [`${seal.path}/before.kv`, `${seal.path}/after.kv`];
  const base = `${seal.path}/base`;
  {
    await using store = await DenoKvEventStore.open(file);
    await fill(store, SEALED);
    await sealOnce(store, new SealFolder(base), { signer: seal.signer });
  }
  await Deno.copyFile(file, restored);
  const before = await DenoKvEventStore.open(file);
  const after = await DenoKvEventStore.open(restored);
  await fill(before, MORE, 7, "before");
  await fill(after, MORE, 7, "after");
  let copies = 0;
  return {
    before,
    after,
    signer: seal.signer,
    key: seal.key,
    async copy(): Promise<string> {
      const path = `${seal.path}/copy-${++copies}`;
      const { success } = await new Deno.Command("cp", { args: ["-r", base, path] }).output();
      assert(success);
      return path;
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await before.close();
      await after.close();
      await seal[Symbol.asyncDispose]();
    },
  };
}

/** Writes the files of a branch into a seal, and ends before its checkpoint. */
async function leaveFiles(store: DenoKvEventStore, path: string, signer: Branches["signer"]): Promise<void> {
  const killed = new Error("killed");
  const place = observed(
    new SealFolder(path),
    (name) => name === "replace checkpoint" ? Promise.reject(killed) : Promise.resolve(),
  );
  await assert.rejects(sealOnce(store, place, { signer }), { cause: killed });
}

for (const left of ["no", "before", "after"] as const) {
  const files = left === "no"
    ? ""
    : `, over files that a killed sealer of the log ${left} the restore has left`;
  Deno.test(`a sealer that is suspended at any moment, while the log is restored and sealed by another, does no harm${files}`, async () => {
    await using all = await branches();
    const { before, after, signer, key } = all;
    let isReached = true;
    for (let suspendedAt = 0; isReached; suspendedAt++) {
      const path = await all.copy();
      if (left !== "no") await leaveFiles(all[left], path, signer);
      const reached = Promise.withResolvers<true>();
      const goOn = Promise.withResolvers<void>();
      let at = "";
      let operations = 0;
      const place = observed(new SealFolder(path), (name) => {
        if (!SUSPENDS.test(name) || operations++ !== suspendedAt) return Promise.resolve();
        at = `${suspendedAt}: ${name}`;
        reached.resolve(true);
        return goOn.promise;
      });
      const seal = (store: DenoKvEventStore, place: SealPlace): Promise<"sealed" | SealError> =>
        sealOnce(store, place, { signer }).then(() => "sealed", (error) => error);
      const suspended = seal(before, place);
      isReached = await Promise.race([reached.promise, suspended.then(() => false)]);
      const other = await seal(after, new SealFolder(path));
      goOn.resolve();
      const late = await suspended;
      const [winner, refused] = late === "sealed" ? [before, other] : [after, late];
      assert([late, other].includes("sealed"), `${at}: ${late} ${other}`);
      assert(refused instanceof SealError, `${at}: both have sealed`);
      assert(refused.reason === "other-log" || refused.reason === "ahead", `${at}: ${refused}`);
      const { faults, verified } = await verifySealedLog(winner, new SealFolder(path), { key });
      assert.deepEqual([faults, verified], [[], SEALED + MORE], at);
    }
  });
}

Deno.test("a file system without hard links keeps a seal too", async () => {
  await using store = new InMemoryEventStore();
  await using seal = await sealFixture();
  const { link } = Deno;
  let asked = 0;
  Deno.link = () => {
    asked++;
    return Promise.reject(new Deno.errors.PermissionDenied("Operation not permitted (os error 1)"));
  };
  try {
    for (const count of [0, 300, 300]) {
      await fill(store, count);
      await sealOnce(store, seal.folder, { signer: seal.signer });
      assert.deepEqual((await verifySeal(seal.folder, { key: seal.key })).faults, []);
    }
  } finally {
    Deno.link = link;
  }
  assert.equal(asked, 1);
});
