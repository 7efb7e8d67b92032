/**
 * What requests carry, checked: bodies, versions, keys.
 *
 * @module
 */
import type { Item, OrderCommand } from "./order.ts";
import { HttpProblem } from "./problem.ts";

/** The most bytes of a body. */
const MOST_BYTES = 64 * 1024;
const MOST_KEY_LENGTH = 255;

/** The fields of a JSON body. */
export type Body = Readonly<Record<string, unknown>>;

/** Reads a request's body, a JSON object. */
export async function readBody(request: Request): Promise<Body> {
  const [type] = (request.headers.get("content-type") ?? "").split(";");
  if (type?.trim().toLowerCase() !== "application/json") {
    throw new HttpProblem(415, "the body must be application/json");
  }
  const bytes = await readAtMost(MOST_BYTES, request);
  try {
    const body: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof body === "object" && body !== null && !Array.isArray(body)) return body as Body;
  } catch {
    // It is no JSON at all.
  }
  throw new HttpProblem(400, "the body must be a JSON object");
}

async function readAtMost(most: number, { body }: Request): Promise<Uint8Array> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  try {
    for await (const chunk of body ?? []) {
      size += chunk.length;
      if (size > most) break;
      chunks.push(chunk);
    }
  } catch {
    // The sender has gone, or this server is shutting down.
    throw new HttpProblem(503, "the body could not be read: try again", { "retry-after": "1" });
  }
  if (size > most) throw new HttpProblem(413, `the body has more than ${most} bytes`);
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/** The version that a request is meant for: the entity tag of the state that its sender saw. */
export function expectedVersionOf(request: Request): number | undefined {
  const tag = request.headers.get("if-match");
  if (tag === null || tag === "*") return undefined;
  const version = /^"(\d{1,15})"$/.exec(tag)?.[1];
  if (version === undefined) {
    throw new HttpProblem(400, 'If-Match must be one ETag of the order, such as "3"');
  }
  return Number(version);
}

/** What all repetitions of a request have in common. */
export function idempotencyKeyOf(request: Request): string | undefined {
  const key = request.headers.get("idempotency-key");
  if (key === null) return undefined;
  if (key.length >= 1 && key.length <= MOST_KEY_LENGTH) return key;
  throw new HttpProblem(400, `Idempotency-Key must have 1 to ${MOST_KEY_LENGTH} characters`);
}

/** How each command is read from a body. */
export const readCommand = {
  place: (body: Body): OrderCommand => ({
    do: "place",
    customer: text(body, "customer"),
    items: items(body["items"]),
  }),
  pay: (body: Body): OrderCommand => ({ do: "pay", amount: whole(body, "amount", 0) }),
  ship: (body: Body): OrderCommand => ({ do: "ship", tracking: text(body, "tracking") }),
  cancel: (body: Body): OrderCommand => ({ do: "cancel", reason: text(body, "reason") }),
} as const;

function items(value: unknown): readonly Item[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw new HttpProblem(400, "items: must be a list of items");
  }
  return value.map((item: unknown, index) => {
    const path = `items[${index}].`;
    const fields = typeof item === "object" && item !== null ? item as Body : {};
    return {
      article: text(fields, "article", path),
      quantity: whole(fields, "quantity", 1, path),
      price: whole(fields, "price", 0, path),
    };
  });
}

function text(body: Body, name: string, path = ""): string {
  const value = body[name];
  if (typeof value === "string" && value !== "" && value.isWellFormed()) return value;
  throw new HttpProblem(400, `${path}${name}: must be a text that is not empty`);
}

function whole(body: Body, name: string, least: number, path = ""): number {
  const value = body[name];
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= least) return value;
  throw new HttpProblem(400, `${path}${name}: must be a whole number of at least ${least}`);
}
