/**
 * The page and its files, compressed once.
 *
 * @module
 */

import { utf8 } from "../text.ts";
import { CLIENT_FILES, type ClientFile, PAGE } from "./client/files.ts";
import { POLICY, policyWith } from "./policy.ts";

/** A file as it is sent. */
interface Asset {
  readonly type: string;
  readonly plain: Uint8Array<ArrayBuffer>;
  readonly compressed: Uint8Array<ArrayBuffer>;
  readonly tag: string;
}

const assets = new WeakMap<ClientFile, Promise<Asset>>();

/** Answers with the page. Its policy allows the one script and the one style that are in it, and no other. */
export async function pageResponse(request: Request): Promise<Response> {
  return await assetResponse(request, PAGE, pagePolicy ??= makePagePolicy());
}

let pagePolicy: Promise<string> | undefined;

async function makePagePolicy(): Promise<string> {
  const [script, style] = await Promise.all([PAGE.script, PAGE.style].map(hashOf));
  return policyWith(
    `script-src 'sha256-${script}'; style-src 'sha256-${style}'; img-src 'self'; connect-src 'self'`,
  );
}

async function hashOf(text: string): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(text) as BufferSource)).toBase64();
}

/** Answers with a file of the page; `undefined` if there is none of this name. */
export async function fileResponse(request: Request, name: string): Promise<Response | undefined> {
  const file = CLIENT_FILES.get(name);
  return file && await assetResponse(request, file);
}

async function assetResponse(
  request: Request,
  file: ClientFile,
  policy?: Promise<string>,
): Promise<Response> {
  let making = assets.get(file);
  if (!making) assets.set(file, making = makeAsset(file));
  const { type, plain, compressed, tag } = await making;
  // The page asks each time, and gets a new file as soon as there is one.
  const headers = new Headers({ "cache-control": "no-cache", "etag": tag, "vary": "accept-encoding" });
  if (policy) headers.set(POLICY, await policy);
  if (request.headers.get("if-none-match")?.includes(tag)) {
    return new Response(null, { status: 304, headers });
  }
  headers.set("content-type", type);
  const isCompressed = /\bgzip\b(?!\s*;\s*q=0(\.0+)?\s*(,|$))/.test(
    request.headers.get("accept-encoding") ?? "",
  );
  if (isCompressed) headers.set("content-encoding", "gzip");
  const body = isCompressed ? compressed : plain;
  headers.set("content-length", String(body.length));
  return new Response(request.method === "HEAD" ? null : body, { headers });
}

async function makeAsset({ type, text }: ClientFile): Promise<Asset> {
  const plain = utf8(text) as Uint8Array<ArrayBuffer>;
  const [compressed, digest] = await Promise.all([
    new Response(new Blob([plain]).stream().pipeThrough(new CompressionStream("gzip"))).bytes(),
    crypto.subtle.digest("SHA-256", plain),
  ]);
  const tag = `W/"${new Uint8Array(digest).subarray(0, 12).toHex()}"`;
  return { type, plain, compressed, tag };
}
