/**
 * Devices over HTTP.
 *
 *     POST /devices/ID/readings    reports a reading: { reading }
 *     GET  /devices/ID             the device: { reports, sum, highest }
 *
 * Each reading comes with an `Idempotency-Key`. It can be sent again with the same key, also to another host: it counts
 * once, and is answered alike.
 *
 * @module
 */
import { ActorBusyError, type ActorFinder } from "@flowmade-one/aether/actor";
import { device, ReadingRefused } from "./device.ts";

const PATH = new URLPattern({ pathname: "/devices/:id([A-Za-z0-9-]{1,64}){/:command}?" });

/** Makes the handler of requests. Any host takes a request: the client sends it to the owner of the device. */
export function serveDevices(actors: ActorFinder): (request: Request) => Promise<Response> {
  return async (request) => {
    const { id, command } = PATH.exec(request.url)?.pathname.groups ?? {};
    if (id === undefined) return problem(404, "no such device");
    const actor = actors.get(device, `device-${id}`);
    const route = `${request.method} ${command ?? ""}`;
    try {
      if (route === "GET ") return Response.json(await actor.query("device"));
      if (route !== "POST readings") return problem(404, "no such command");
      const key = request.headers.get("idempotency-key");
      const reading = await readingOf(request);
      if (key === null || !/^[\x21-\x7e]{1,128}$/.test(key)) {
        return problem(400, "Idempotency-Key must have 1 to 128 characters");
      }
      if (reading === undefined) return problem(400, "the body must be JSON with a reading, a number");
      const { state, version } = await actor.call({ report: reading }, { id: key });
      return Response.json({ ...state, version });
    } catch (error) {
      return problemOf(error);
    }
  };
}

async function readingOf(request: Request): Promise<number | undefined> {
  const body: unknown = await request.json().catch(() => undefined);
  const reading = (body as { reading?: unknown } | undefined | null)?.reading;
  return typeof reading === "number" ? reading : undefined;
}

function problemOf(error: unknown): Response {
  if (error instanceof ReadingRefused) return problem(409, error.message);
  console.error(String(error));
  const seconds = error instanceof ActorBusyError ? Math.ceil(error.retryAfter / 1_000) : 1;
  return problem(503, "send the request again, with the same Idempotency-Key", {
    "retry-after": `${seconds}`,
  });
}

function problem(status: number, detail: string, headers: Record<string, string> = {}): Response {
  return Response.json({ status, detail }, {
    status,
    headers: { ...headers, "content-type": "application/problem+json" },
  });
}
