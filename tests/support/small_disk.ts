/**
 * A file system that is soon full.
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
