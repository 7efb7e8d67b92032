/**
 * One subscription for all answers, matched by token: a request costs neither a
 * subscription, nor a timer, nor an error object of its own (which is most of what the stock client spends).
 *
 * @module
 */
import { createInbox, type NatsMessage, type NatsSubscription } from "../connection.ts";
import type { ConnectionListener, ConnectionState } from "../connection_state.ts";

/** Why no answer will come. */
export type NoAnswer =
  /** None came in time: what was requested may still happen. */
  | "timeout"
  /** Nothing listens on the subject: no stream has it, or its leader is being elected. */
  | "no responders"
  /** The connection was lost: what was sent may or may not have arrived. */
  | "disconnected"
  /** The connection was closed before it was sent. */
  | "closed"
  /** The server denied the publication: it did not happen. */
  | "denied"
  /** The server denied the subscription that takes the answers: what was sent before may or may not have arrived. */
  | "inbox denied";

/** Waits for an answer, or for several. */
export interface Waiter {
  /** The subject that was published to. */
  readonly subject: string;
  /** Whether a message to a subject belongs to what it waits for. @default {that of `subject`} */
  isAbout?(subject: string): boolean;
  /** Whether each answer gives the next one as much time again. @default {false} */
  readonly isSeries?: boolean;
  /** Takes an answer. Returns true if it was the last one, false if more are to come. */
  onAnswer(message: NatsMessage): boolean;
  /** No answer, or no further one, will come. */
  onNoAnswer(why: NoAnswer, description?: string): void;
}

/** A waiter in its slot: a class, as all that lives for a round trip (see `short_lived.ts`). */
class Entry {
  readonly waiter: Waiter;
  readonly token: number;
  /** The tick at which it was sent, or last answered. */
  tick: number;

  constructor(waiter: Waiter, token: number, tick: number) {
    this.waiter = waiter;
    this.token = token;
    this.tick = tick;
  }
}

/** A timeout is measured in so many ticks of one timer: it comes up to a twentieth late, and never early. */
const TICKS = 20;

const INITIAL_SLOTS = 256;
/** How often a subscription that was denied is made again while something is to be sent, in milliseconds. */
const RENEWAL_INTERVAL = 500;
const STATUS_NO_RESPONDERS = 503;

/** Whether nothing listens; a message that is read may have been stored with that status, and has a sequence. */
function isNoResponders({ headers }: NatsMessage): boolean {
  return headers?.code === STATUS_NO_RESPONDERS && headers.get("Nats-Sequence") === "";
}

/** Waits for answers until `close()`. */
export class ReplyInbox implements ConnectionListener {
  readonly #state: ConnectionState;
  #subscription: NatsSubscription;
  readonly #prefix: string;
  readonly #tickLength: number;
  /**
   * The entry with token `t` is at index `t & (length - 1)`. A token is never used twice, so that an answer that comes
   * late, or a second time, finds its slot empty or taken by another token, and is dropped.
   */
  #slots: (Entry | undefined)[] = new Array(INITIAL_SLOTS).fill(undefined);
  #nextToken = 0;
  #waiting = 0;
  #tick = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #failure: Error | undefined;
  #renewedAt = -Infinity;
  /** Whether the present subscription has taken a message. */
  #isHeard = false;

  /** Subscribes. `timeout` is how long each answer may take, in milliseconds. */
  constructor(state: ConnectionState, timeout: number) {
    this.#state = state;
    this.#tickLength = Math.max(1, timeout / TICKS);
    const inbox = createInbox(state.connection);
    this.#prefix = `${inbox}.`;
    this.#subscription = this.#subscribe();
    state.add(this);
  }

  /** How many answers are being waited for. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Why no answer can come at all: the server denied the subscription. It is made again now and then. */
  get failure(): Error | undefined {
    if (this.#failure) this.#renew(this.#failure);
    return this.#failure;
  }

  /** Begins to wait, and returns the reply subject to send along at once. */
  expect(waiter: Waiter): string {
    if (this.#waiting * 2 >= this.#slots.length) this.#grow();
    const mask = this.#slots.length - 1;
    let token = this.#nextToken;
    while (this.#slots[token & mask]) token++;
    this.#nextToken = token + 1;
    this.#slots[token & mask] = new Entry(waiter, token, this.#tick);
    this.#waiting++;
    this.#timer ??= setInterval(() => this.#onTick(), this.#tickLength);
    return this.#prefix + token;
  }

  /** Takes back the newest `expect()`, whose message could not be sent. */
  withdraw(reply: string): void {
    this.#release(this.#find(reply));
  }

  /** The connection is down: the answers that were under way are lost with it. */
  onDisconnect(): void {
    this.#isHeard = false;
    this.#settleAll("disconnected");
  }

  /** The refused subscription may be this one, unless it has taken a message. */
  onTooManySubscriptions(description: string): void {
    if (!this.#isHeard) this.#fail(new Error(description));
  }

  /** The connection is closed: no answer can come. */
  onClose(): void {
    this.#settleAll("disconnected");
    this.#stopTimer();
  }

  /**
   * The server denied a publication to a subject. It reports each one. What was sent before the permission was revoked may
   * be answered still, so it is the newest one that is denied.
   */
  onPublishDenied(subject: string, description: string): void {
    let newest: Entry | undefined;
    for (const entry of this.#slots) {
      if (!entry || newest && entry.token < newest.token) continue;
      const { waiter } = entry;
      if (waiter.subject === subject || waiter.isAbout?.(subject)) newest = entry;
    }
    if (!newest) return;
    this.#release(newest);
    newest.waiter.onNoAnswer("denied", description);
  }

  /** Ends the subscription and the timer; what still waits ends with this reason. */
  close(why: NoAnswer = "disconnected"): void {
    this.#state.remove(this);
    this.#stopTimer();
    if (!this.#state.isClosed) this.#subscription.unsubscribe();
    this.#settleAll(why);
    this.#stopTimer();
  }

  readonly #onMessage = (error: Error | null, message: NatsMessage): void => {
    if (error) return this.#fail(error);
    this.#isHeard = true;
    const entry = this.#find(message.subject);
    if (!entry) return;
    if (message.data.length === 0 && isNoResponders(message)) {
      this.#release(entry);
      entry.waiter.onNoAnswer("no responders");
      return;
    }
    if (entry.waiter.onAnswer(message)) this.#release(entry);
    else if (entry.waiter.isSeries) entry.tick = this.#tick;
  };

  #subscribe(): NatsSubscription {
    return this.#state.connection.subscribe(`${this.#prefix}*`, { callback: this.#onMessage });
  }

  /** An operator may give the permission again. Nothing is sent before the server is known to take the subscription. */
  #renew(failure: Error): void {
    const now = performance.now();
    if (now < this.#renewedAt + RENEWAL_INTERVAL || !this.#state.isConnected || this.#state.isClosed) return;
    this.#renewedAt = now;
    this.#isHeard = false;
    this.#subscription.unsubscribe();
    this.#subscription = this.#subscribe();
    const taken = (): void => {
      if (this.#failure === failure) this.#failure = undefined; // it is another one if it was denied again
    };
    const { connection } = this.#state;
    // The client reports a refusal a moment after it has read it: before the second answer.
    connection.flush().then(() => connection.flush()).then(taken, () => {});
  }

  #find(reply: string): Entry | undefined {
    const token = Number(reply.slice(this.#prefix.length));
    const entry = this.#slots[token & (this.#slots.length - 1)];
    return entry?.token === token ? entry : undefined;
  }

  #release(entry: Entry | undefined): void {
    if (!entry) return;
    this.#slots[entry.token & (this.#slots.length - 1)] = undefined;
    this.#waiting--;
  }

  #grow(): void {
    const old = this.#slots;
    const mask = old.length * 2 - 1;
    this.#slots = new Array(old.length * 2).fill(undefined);
    // Two tokens that differ below the old length differ below the new one too: no slot is wanted twice.
    for (const entry of old) if (entry) this.#slots[entry.token & mask] = entry;
  }

  #onTick(): void {
    if (this.#waiting === 0) {
      this.#stopTimer();
      return;
    }
    this.#tick++;
    for (const entry of this.#slots) {
      // One tick more than it takes: an entry may have been made at the very end of its tick.
      if (!entry || this.#tick - entry.tick <= TICKS) continue;
      this.#release(entry);
      entry.waiter.onNoAnswer("timeout");
    }
  }

  #settleAll(why: NoAnswer): void {
    for (const entry of this.#slots) {
      if (!entry) continue;
      this.#release(entry);
      entry.waiter.onNoAnswer(why);
    }
  }

  #fail(error: Error): void {
    this.#failure = error;
    for (const entry of this.#slots) {
      if (!entry) continue;
      this.#release(entry);
      entry.waiter.onNoAnswer("inbox denied", error.message);
    }
  }

  #stopTimer(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
