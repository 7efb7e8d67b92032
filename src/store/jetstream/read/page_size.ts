/**
 * How many messages a page takes: a message has one event or a thousand, and those of a page are asked for at once.
 *
 * @module
 */

/** What is known of the messages before any is read. */
export interface FirstMessage {
  /** How many events it has. */
  readonly events: number;
  /** How many of them are of the page. */
  readonly ofPage: number;
}

/** How many messages are read to learn how many events they have. */
const UNKNOWN = 4;
/** How many are read at once: conditions and tokens are messages without events. */
const MAX_MESSAGES = 256;

/** How many messages are to be read next for so many events. */
export class PageSize {
  readonly #limit: number;
  #messages = 0;
  #events = 0;
  #next: number;

  /**
   * Has read none.
   *
   * @param limit How many events are wanted.
   * @param first The message that the page begins with, if it is known.
   */
  constructor(limit: number, first: FirstMessage | undefined) {
    this.#limit = limit;
    this.#next = atMost(first ? messagesFor(limit, first) : Math.min(UNKNOWN, limit));
  }

  /** How many messages. */
  get next(): number {
    return this.#next;
  }

  /** Notes what was read. A reader who goes on with enough events leaves some out. */
  note(messages: number, events: number): void {
    this.#messages += messages;
    this.#events += events;
    const wanted = this.#limit - this.#events;
    const needed = Math.ceil(wanted * this.#messages / Math.max(1, this.#events)) + 1;
    this.#next = atMost(wanted > 0 ? needed : this.#next * 2);
  }
}

/** As many as if all messages were like the first, and another one: some may have fewer events. */
function messagesFor(limit: number, { events, ofPage }: FirstMessage): number {
  return ofPage >= limit ? 1 : 2 + Math.ceil((limit - ofPage) / Math.max(1, events));
}

function atMost(messages: number): number {
  return Number.isFinite(messages) ? Math.max(1, Math.min(MAX_MESSAGES, messages)) : MAX_MESSAGES;
}
