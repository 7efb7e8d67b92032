/**
 * Channels over HTTP.
 *
 *     GET  /                         a page for the channel "lobby"
 *     POST /channels/ID/messages     writes a message: { author, text }
 *     GET  /channels/ID/events       all messages, then each new one, as server-sent events
 *
 * A message can be sent again with the same `Idempotency-Key`: it is written once. The id of a server-sent event is its
 * position in the log: a browser that was disconnected sends it as `Last-Event-ID`, and gets what it has missed.
 *
 * @module
 */
import {
  type ActorFinder,
  type ActorReference,
  AetherError,
  InvalidPositionError,
  type StoredEvent,
} from "@flowmade-one/aether/actor";
import { channel, type ChannelCommand, type ChannelEvent, MessageRefused } from "./channel.ts";

type Channel = ActorReference<number, ChannelCommand, ChannelEvent, { messages: number }>;

const PATH = new URLPattern({ pathname: "/channels/:id([A-Za-z0-9-]{1,64})/:what(messages|events)" });

/** Makes the handler of requests. The signal ends the streams of events. */
export function serveChannels(
  actors: ActorFinder,
  signal: AbortSignal,
): (request: Request) => Promise<Response> {
  return async (request) => {
    const { id, what } = PATH.exec(request.url)?.pathname.groups ?? {};
    const route = `${request.method} ${what ?? new URL(request.url).pathname}`;
    if (route === "GET /") {
      return new Response(PAGE, { headers: { "content-type": "text/html; charset=utf-8" } });
    }
    if (id === undefined) return problem(404, "no such channel");
    const actor = actors.get(channel, `channel-${id}`);
    if (route === "GET events") return watch(actor, request, signal);
    if (route === "POST messages") return await write(actor, request);
    return problem(405, "a channel has messages to POST, and events to GET");
  };
}

async function write(actor: Channel, request: Request): Promise<Response> {
  const { author, text }: Partial<Record<string, unknown>> = await request.json().catch(() => null) ?? {};
  if (typeof author !== "string" || typeof text !== "string") {
    return problem(400, "the body must be JSON with an author and a text");
  }
  const key = request.headers.get("idempotency-key");
  try {
    const { version } = await actor.call({ author, text }, key === null ? {} : { id: key });
    return Response.json({ version }, { status: 201 });
  } catch (error) {
    if (error instanceof MessageRefused) return problem(409, error.message);
    if (!(error instanceof AetherError)) throw error;
    console.error(String(error));
    return problem(503, "send the message again, with the same Idempotency-Key");
  }
}

/** Streams the events of a channel, from where the client was. A slow client holds up its own stream only. */
function watch(actor: Channel, request: Request, ending: AbortSignal): Response {
  const gone = new AbortController();
  const signal = AbortSignal.any([ending, gone.signal]);
  const events = eventsAfter(request.headers.get("last-event-id") ?? "start", actor, signal);
  const stream = new ReadableStream<string>({
    start: (controller) => controller.enqueue("retry: 500\n\n"),
    async pull(controller): Promise<void> {
      const { done, value } = await events.next().catch((error) => {
        if (!signal.aborted) console.error(String(error));
        return { done: true as const, value: undefined };
      });
      if (done) return controller.close(); // the client connects again
      const { position, eventType, timestamp, data } = value;
      const message = JSON.stringify({ ...data, timestamp });
      controller.enqueue(`id: ${position}\nevent: ${eventType}\ndata: ${message}\n\n`);
    },
    cancel: () => gone.abort(),
  });
  return new Response(stream.pipeThrough(new TextEncoderStream()), {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
  });
}

/** The events after a position, or all of them if it is not one of this log, such as one that was deleted since. */
async function* eventsAfter(
  after: string,
  actor: Channel,
  signal: AbortSignal,
): AsyncGenerator<StoredEvent<ChannelEvent>, void> {
  try {
    yield* actor.events({ after, signal });
  } catch (error) {
    if (!(error instanceof InvalidPositionError)) throw error;
    yield* actor.events({ signal });
  }
}

function problem(status: number, detail: string): Response {
  const headers = { "content-type": "application/problem+json" };
  return Response.json({ status, detail }, { status, headers });
}

const PAGE = `<!DOCTYPE html>
<html lang="en">
<title>The lobby</title>
<ul id="messages" aria-live="polite"></ul>
<form id="form">
  <label>Name <input id="author" required></label>
  <label>Message <input id="text" required maxlength="1000"></label>
  <button>Send</button>
</form>
<script>
  const element = (id) => document.getElementById(id);
  new EventSource("/channels/lobby/events").addEventListener("Written", ({ data }) => {
    const { author, text } = JSON.parse(data);
    const item = document.createElement("li");
    item.textContent = author + ": " + text;
    element("messages").append(item);
  });
  element("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = JSON.stringify({ author: element("author").value, text: element("text").value });
    const { ok } = await fetch("/channels/lobby/messages", { method: "POST", body });
    if (ok) element("text").value = "";
  });
</script>
`;
