/**
 * Tessera's `fsck`: a program of others that checks C2SP tile logs. It is installed by Go, once for each machine.
 *
 * @module
 */

const MODULE = "github.com/transparency-dev/tessera/cmd/fsck@v1.0.4";
/** How long the installation may take: it downloads and compiles. */
const INSTALL_MS = 300_000;
/** How long a check may take. */
const CHECK_MS = 60_000;

/** The folder that it is kept in. */
function cacheFolder(): string {
  return `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`}/aether-fsck`;
}

/** Installs it, unless it is there; `undefined`, with a note, if Go or the module cannot be had. */
export async function installFsck(): Promise<Fsck | undefined> {
  const folder = cacheFolder();
  const program = `${folder}/fsck`;
  try {
    await Deno.stat(program);
  } catch {
    try {
      await Deno.mkdir(folder, { recursive: true });
      // Other processes may install it at the same time: each does so in a folder of its own.
      const own = await Deno.makeTempDir({ dir: folder });
      const { success, stderr } = await new Deno.Command("go", {
        args: ["install", MODULE],
        env: { GOBIN: own, GOFLAGS: "-buildvcs=false" },
        signal: AbortSignal.timeout(INSTALL_MS),
      }).output();
      if (!success) throw new Error(new TextDecoder().decode(stderr));
      await Deno.rename(`${own}/fsck`, program);
      await Deno.remove(own);
    } catch (error) {
      console.warn(
        `NOT TESTED: seals with Tessera's fsck. Put go on the PATH, and let it download ${MODULE}`,
        error,
      );
      return undefined;
    }
  }
  return new Fsck(folder);
}

/** What it found. */
export interface FsckResult {
  /** Whether it accepts the log. */
  readonly accepts: boolean;
  /** What it printed. */
  readonly output: string;
}

/** The program. */
export class Fsck {
  /** The folder that it is in. */
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Checks a folder. With one worker it would not end after some faults. */
  async check(folder: string, origin: string, publicKey: string): Promise<FsckResult> {
    const key = await Deno.makeTempFile();
    try {
      await Deno.writeTextFile(key, publicKey);
      const { stderr } = await new Deno.Command(`${this.folder}/fsck`, {
        args: [
          "-N",
          "4",
          "--ui=false",
          `--storage_url=file://${encodeURI(folder)}/`,
          `--origin=${origin}`,
          `--public_key=${key}`,
        ],
        stdout: "null",
        signal: AbortSignal.timeout(CHECK_MS),
      }).output();
      // Its exit code is 0 in every case.
      const output = new TextDecoder().decode(stderr);
      return { accepts: output.includes("Successfully fsck'd") && !output.includes("failed"), output };
    } finally {
      await Deno.remove(key);
    }
  }
}
