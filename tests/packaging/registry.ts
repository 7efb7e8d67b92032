/**
 * A registry on the loopback address that speaks as much of JSR's protocol as `deno publish` and `deno add` use: it
 * takes what the real client uploads, and serves just that.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { unpack } from "./tar.ts";

/** One published version of a package. */
export interface Publication {
  /** Such as `@flowmade-one/aether`. */
  readonly name: string;
  readonly version: string;
  readonly exports: Readonly<Record<string, string>>;
  /** What was uploaded, by path. */
  readonly files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}

/** A running registry. */
export interface Registry extends AsyncDisposable {
  /** What `JSR_URL` has to be for a client of this registry. */
  readonly url: string;
  /** What was published, in that order. */
  readonly publications: readonly Publication[];
}

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ts: "application/typescript",
  json: "application/json",
  md: "text/markdown",
};

/** What the registry answers to a client that has published. */
const PUBLISHED = { id: "00000000-0000-4000-8000-000000000001", status: "success", error: null } as const;

/** Starts a registry that holds nothing yet. */
export function startRegistry(): Registry {
  const publications: Publication[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen(): void {} }, async (request) => {
    const { pathname } = new URL(request.url);
    return pathname.startsWith("/api/")
      ? await manage(request, pathname, publications)
      : serve(pathname, publications);
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}/`,
    publications,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** The management interface: what `deno publish` asks and uploads. */
async function manage(request: Request, path: string, publications: Publication[]): Promise<Response> {
  const version = /^\/api\/scopes\/([^/]+)\/packages\/([^/]+)\/versions\/([^/]+)$/.exec(path);
  if (version && request.method === "POST") {
    const files = await unpack(await request.bytes());
    const [, scope, name] = version;
    publications.push({ name: `@${scope}/${name}`, version: version[3]!, exports: exportsOf(files), files });
    return Response.json(PUBLISHED);
  }
  if (/^\/api\/scopes\/[^/]+\/packages\/[^/]+$/.test(path) || path.includes("/publish_status/")) {
    return Response.json(PUBLISHED);
  }
  return Response.json({ code: "notFound", message: "not found" }, { status: 404 });
}

/** The registry itself, which is a folder of static files. */
function serve(path: string, publications: readonly Publication[]): Response {
  for (const { name, version, exports, files } of publications) {
    if (path === `/${name}/meta.json`) {
      const [scope, short] = name.slice(1).split("/");
      return Response.json({ scope, name: short, latest: version, versions: { [version]: {} } });
    }
    if (path === `/${name}/${version}_meta.json`) {
      const manifest: Record<string, unknown> = {};
      for (const [file, bytes] of files) {
        manifest[`/${file}`] = {
          size: bytes.length,
          checksum: `sha256-${createHash("sha256").update(bytes).digest("hex")}`,
        };
      }
      return Response.json({ manifest, exports });
    }
    const folder = `/${name}/${version}/`;
    const file = path.startsWith(folder) && path.slice(folder.length);
    const bytes = file && files.get(file);
    if (bytes) return new Response(bytes, { headers: { "content-type": contentTypeOf(file) } });
  }
  return new Response("not found", { status: 404 });
}

function contentTypeOf(file: string): string {
  return CONTENT_TYPES[file.slice(file.lastIndexOf(".") + 1)] ?? "text/plain";
}

function exportsOf(files: Publication["files"]): Readonly<Record<string, string>> {
  const config = files.get("deno.json");
  assert(config, "a package without deno.json");
  const { exports } = JSON.parse(new TextDecoder().decode(config)) as {
    exports: Readonly<Record<string, string>>;
  };
  return exports;
}
