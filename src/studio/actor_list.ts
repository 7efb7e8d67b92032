/**
 * The list of actors by pages. A store lists them in an order of its own and from the beginning, so that the list is kept
 * open between two pages for a while.
 *
 * @module
 */

import type { ActorSummary, EventStore } from "../store/types.ts";
import type { ActorPage } from "./api/mod.ts";
import { ApiFailure } from "./failure.ts";

/** How many lists are kept open. */
const MAX_OPEN = 8;
/** How long a list is kept open, in milliseconds. */
const MAX_IDLE = 30_000;

/** A list of actors, and the one that comes next. */
class OpenList {
  readonly prefix: string;
  readonly #actors: AsyncIterator<ActorSummary>;
  /** How many actors it has returned. */
  returned = 0;
  /** The next actor, which shows that there is another page; `undefined` at the end. */
  next: ActorSummary | undefined;
  /** Closes it. */
  timer: ReturnType<typeof setTimeout> | undefined;

  constructor(store: Pick<EventStore, "listActors">, prefix: string) {
    this.prefix = prefix;
    const actors = store.listActors(prefix === "" ? {} : { actorPrefix: prefix });
    this.#actors = actors[Symbol.asyncIterator]();
  }

  /** Goes on to the next actor. */
  async advance(): Promise<void> {
    const { value } = await this.#actors.next();
    this.next = value;
  }

  async close(): Promise<void> {
    clearTimeout(this.timer);
    await this.#actors.return?.().catch(() => {});
  }
}

/** Lists of actors that are open between two pages. */
export class ActorLists {
  readonly #store: Pick<EventStore, "listActors">;
  readonly #open = new Map<string, OpenList>();

  constructor(store: Pick<EventStore, "listActors">, signal: AbortSignal) {
    this.#store = store;
    signal.addEventListener("abort", () => {
      for (const id of this.#open.keys()) this.#take(id)?.close();
    }, { once: true });
  }

  /** A page of the actors. */
  async page(
    prefix: string,
    after: string | undefined,
    limit: number,
    signal: AbortSignal,
  ): Promise<ActorPage> {
    const [id = "", returned = 0] = after === undefined ? [] : cursorOf(after);
    const actors: ActorSummary[] = [];
    const list = this.#take(id, prefix, returned) ?? new OpenList(this.#store, prefix);
    try {
      if (list.returned === 0) await list.advance();
      // A list that is not open any more is gone through again.
      for (; list.returned < returned && list.next; list.returned++) {
        await list.advance();
        signal.throwIfAborted();
      }
      for (; actors.length < limit && list.next; list.returned++) {
        const { actorId, latestVersion } = list.next;
        actors.push({ actorId, latestVersion });
        await list.advance();
        signal.throwIfAborted();
      }
    } catch (error) {
      await list.close();
      throw error;
    }
    return { actors, next: list.next ? this.#keep(list) : null };
  }

  /** The list that a page ended in, if it is still open; no other page can have it then. */
  #take(id: string, prefix?: string, returned?: number): OpenList | undefined {
    const list = this.#open.get(id);
    if (!list) return undefined;
    if (returned !== undefined && (list.prefix !== prefix || list.returned !== returned)) return undefined;
    clearTimeout(list.timer);
    this.#open.delete(id);
    return list;
  }

  #keep(list: OpenList): string {
    const [oldest = ""] = this.#open.keys();
    if (this.#open.size >= MAX_OPEN) void this.#take(oldest)?.close();
    const id = crypto.randomUUID();
    const timer = setTimeout(() => void this.#take(id)?.close(), MAX_IDLE);
    Deno.unrefTimer(timer);
    list.timer = timer;
    this.#open.set(id, list);
    return `${id}.${list.returned}`;
  }
}

function cursorOf(after: string): [id: string, returned: number] {
  const [, id, returned] = /^([0-9a-f-]{36})\.(\d{1,15})$/.exec(after) ?? [];
  if (id !== undefined) return [id, Number(returned)];
  throw new ApiFailure("invalid", '"after" must be what the page before had as "next".');
}
