/**
 * File systems that are soon full, and folders that are read-only.
 *
 * @module
 */

/** A mounted file system. Disposing of it takes it away. */
export interface SmallDisk extends AsyncDisposable {
  /** Gives it another size, such as `64m`. */
  resize(size: string): Promise<void>;
}

/** Mounts a small file system at a path that does not exist yet; nothing where this user may not. */
export async function smallDisk(path: string, size: string): Promise<SmallDisk | undefined> {
  await Deno.mkdir(path);
  if (!await mount(["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path])) return undefined;
  return {
    async resize(size: string): Promise<void> {
      if (!await mount(["-o", `remount,size=${size}`, path])) throw new Error(`cannot resize ${path}`);
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await new Deno.Command("umount", { args: [path] }).output();
    },
  };
}

async function mount(args: string[]): Promise<boolean> {
  const mounted = await new Deno.Command("mount", { args, stderr: "null" }).output().catch(() => undefined);
  return mounted?.success === true;
}

/** Makes a folder read-only also for root, for whom file modes mean nothing. */
export async function readOnlyFolder(path: string): Promise<AsyncDisposable | undefined> {
  const run = async (...args: string[]): Promise<boolean> =>
    (await new Deno.Command(args[0]!, { args: args.slice(1), stderr: "null" }).output().catch(() =>
      undefined
    ))
      ?.success ?? false;
  if (!await run("mount", "--bind", path, path)) return undefined;
  const mounted: AsyncDisposable = {
    async [Symbol.asyncDispose](): Promise<void> {
      await run("umount", path);
    },
  };
  if (await run("mount", "-o", "remount,ro,bind", path)) return mounted;
  await mounted[Symbol.asyncDispose]();
  return undefined;
}
