/**
 * Disks whose flush takes a millisecond more, as a disk without a write cache: a library that is loaded before the C
 * library's own, where a C compiler is at hand.
 *
 * @module
 */

const SOURCE = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
static void wait_a_millisecond(void) {
  struct timespec t = { 0, 1000000 };
  nanosleep(&t, 0);
}
int fsync(int fd) {
  static int (*next)(int);
  if (!next) next = (int (*)(int)) dlsym(RTLD_NEXT, "fsync");
  wait_a_millisecond();
  return next(fd);
}
int fdatasync(int fd) {
  static int (*next)(int);
  if (!next) next = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");
  wait_a_millisecond();
  return next(fd);
}
`;

/** Measures in a process of its own whose flushes are slow; events a second. */
export async function slowFlushRate(what: "raw" | "store", perActor: number): Promise<number> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/slow.c`, SOURCE);
    const compile = new Deno.Command("cc", {
      args: ["-shared", "-fPIC", "-o", `${folder}/slow.so`, `${folder}/slow.c`, "-ldl"],
    });
    if (!(await compile.output()).success) throw new Error("cc could not build the slow flush");
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--allow-all",
        "--no-check",
        import.meta.url,
        what,
        `${folder}/slow.kv`,
        String(perActor),
      ],
      env: { LD_PRELOAD: `${folder}/slow.so` },
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return Number(new TextDecoder().decode(stdout));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const { rawConcurrentRate, storeConcurrentRate } = await import("./kv_append.ts");
  const [what, path, perActor] = Deno.args;
  const measure = what === "raw" ? rawConcurrentRate : storeConcurrentRate;
  console.log(await measure(path!, Number(perActor)));
}
