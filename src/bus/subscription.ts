/**
 * A subscription to a bus: a bounded buffer between publishers and one consumer.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import type { Event } from "../event/types.ts";
import { telemetry } from "../telemetry.ts";
import type { Warn } from "../warning.ts";
import { RingBuffer } from "./buffer.ts";
import { SubscriptionOverflowError } from "./errors.ts";
import { countLoss, observeHandler, observeLag } from "./observation.ts";
import type { CheckedSubscribe } from "./options.ts";
import type { Delivery } from "./publication.ts";
import type { BusSubscription, Loss, OverflowPolicy } from "./types.ts";
import { describe } from "../text.ts";

/** What a bus makes a subscription of. */
export interface SubscriptionSetup<T> {
  /** The namespace or the pattern, for messages. */
  readonly namespace: string;
  /** The kind of bus, for telemetry. */
  readonly bus: "local" | "nats";
  /** What the user asked for. */
  readonly options: CheckedSubscribe;
  /** What is delivered of a delivery. */
  readonly select: (delivery: Delivery) => T;
  /** Passes warnings on. */
  readonly warn: Warn;
  /** Called once, when it takes nothing in any more. */
  readonly onEnd: (subscription: BufferedSubscription<T>) => void;
}

/** How a subscription has ended: normally, or with what its loop throws. */
type End = { readonly error?: unknown; readonly fails: boolean };

/** The subscription of every bus. */
export class BufferedSubscription<T> implements BusSubscription<T> {
  readonly position = undefined;
  readonly #setup: SubscriptionSetup<T>;
  readonly #chosen: ((event: Event) => boolean) | undefined;
  readonly #bound: number;
  readonly #overflow: OverflowPolicy;
  readonly #buffer: RingBuffer<Delivery>;
  readonly #ready = Promise.withResolvers<void>();
  #arrival: PromiseWithResolvers<void> | undefined;
  #end: End | undefined;
  #lost = 0;
  #interruptions = 0;
  #failures = 0;
  #taken = false;
  /** A loss that `onLoss` itself causes, by publishing to its own full buffer, is not reported to it again. */
  #isInOnLoss = false;

  /** Takes in what is offered from now on. */
  constructor(setup: SubscriptionSetup<T>) {
    const { buffer, overflow, signal, chosen } = setup.options;
    this.#setup = setup;
    this.#chosen = chosen;
    this.#bound = buffer;
    this.#overflow = overflow;
    this.#buffer = new RingBuffer(buffer);
    this.#ready.promise.catch(() => {}); // the loop throws the same error, so `ready` need not be awaited
    signal?.addEventListener("abort", this.#abort, { once: true });
    if (signal?.aborted) this.#abort();
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  get lost(): number {
    return this.#lost;
  }

  get interruptions(): number {
    return this.#interruptions;
  }

  get failures(): number {
    return this.#failures;
  }

  get pending(): number {
    return this.#buffer.length;
  }

  /** Whether it takes nothing in any more. */
  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  /** To be called when nothing is missed any more. */
  begin(): void {
    this.#ready.resolve();
  }

  /** Takes in a delivery, unless the filter leaves it out. Never throws. */
  offer(delivery: Delivery): void {
    if (this.#end || (this.#chosen && !this.#chosen(delivery.event))) return;
    if (this.#buffer.isFull) {
      if (this.#overflow !== "drop-oldest") {
        if (this.#overflow === "error") {
          this.fail(new SubscriptionOverflowError(this.#setup.namespace, this.#bound));
        }
        this.#lose("overflow");
        return;
      }
      this.#buffer.shift();
      this.#buffer.push(delivery);
      this.#lose("overflow");
    } else this.#buffer.push(delivery);
    if (this.#arrival) this.#wake();
  }

  /** Counts something that came and is no event. */
  reject(cause: unknown): void {
    if (!this.#end) this.#lose("undecodable", cause);
  }

  /** Counts an interruption, which begins. */
  interrupt(): void {
    if (!this.#end) this.#interruptions++;
  }

  /** Reports an interruption that is over. */
  recover(): void {
    if (!this.#end) this.#tell("interrupted");
  }

  /** Ends it once what has arrived is taken: normally. */
  drain(): void {
    this.#finish({ fails: false });
  }

  /** Ends it once what has arrived is taken: with an error. */
  fail(error: unknown): void {
    this.#ready.reject(error);
    this.#finish({ fails: true, error });
  }

  close(): Promise<void> {
    this.#end = { fails: false }; // also replaces an error that was not thrown yet
    this.#buffer.clear();
    this.#finish(this.#end, true);
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    this.#take();
    return {
      next: (): Promise<IteratorResult<T, undefined>> => {
        const delivery = this.#buffer.shift();
        return delivery
          ? Promise.resolve({ done: false, value: this.#deliver(delivery) })
          : this.#nextArrival();
      },
      return: async (): Promise<IteratorReturnResult<undefined>> => {
        await this.close();
        return { done: true, value: undefined };
      },
    };
  }

  async forEach(handler: (delivered: T) => void | PromiseLike<void>): Promise<void> {
    if (typeof handler !== "function") {
      throw new InvalidArgumentError("handler", `must be a function, and is ${describe(handler)}`);
    }
    this.#take();
    const { bus, select } = this.#setup;
    let observed = telemetry(); // for what is handled without a wait: asking for each event takes as long as handling it
    for (;;) {
      const delivery = this.#buffer.shift();
      if (!delivery) {
        if (this.#isOver()) return;
        await this.#nextOffer();
        observed = telemetry();
        continue;
      }
      try {
        const handled = observed
          ? observeHandler(observed, bus, delivery, () => handler(select(delivery)))
          : handler(select(delivery));
        if (handled !== undefined) {
          await handled;
          observed = telemetry();
        }
      } catch (cause) {
        this.#failures++;
        this.#setup.warn({
          code: "handler-failed",
          message:
            `a handler of "${this.#setup.namespace}" failed on event ${delivery.event.id}; it goes on with the next`,
          cause,
        });
      }
    }
  }

  #deliver(delivery: Delivery): T {
    const observed = telemetry();
    if (observed) observeLag(observed, delivery);
    return this.#setup.select(delivery);
  }

  async #nextArrival(): Promise<IteratorResult<T, undefined>> {
    for (;;) {
      const delivery = this.#buffer.shift();
      if (delivery) return { done: false, value: this.#deliver(delivery) };
      if (this.#isOver()) return { done: true, value: undefined };
      await this.#nextOffer();
    }
  }

  /** Resolves when there may be something to take, or the end has come. */
  #nextOffer(): Promise<void> {
    return (this.#arrival ??= Promise.withResolvers<void>()).promise;
  }

  /** Whether nothing comes any more. Throws, once, what has ended it. */
  #isOver(): boolean {
    const end = this.#end;
    if (!end) return false;
    if (!end.fails) return true;
    this.#end = { fails: false };
    throw end.error;
  }

  #take(): void {
    if (this.#taken) {
      throw new InvalidArgumentError("subscription", "is taken from already: subscribe once for each loop");
    }
    this.#taken = true;
  }

  #wake(): void {
    const arrival = this.#arrival;
    this.#arrival = undefined;
    arrival?.resolve();
  }

  readonly #abort = (): void => {
    if (this.#end) return;
    this.#buffer.clear();
    this.#ready.reject(this.#setup.options.signal?.reason);
    this.#finish({ fails: true, error: this.#setup.options.signal?.reason });
  };

  #finish(end: End, again = false): void {
    if (this.#end && !again) return;
    this.#end = end;
    this.#ready.resolve();
    this.#setup.options.signal?.removeEventListener("abort", this.#abort);
    this.#wake();
    this.#setup.onEnd(this);
  }

  #lose(reason: Loss["reason"], cause?: unknown): void {
    this.#lost++;
    this.#tell(reason, cause);
  }

  #tell(reason: Loss["reason"], cause?: unknown): void {
    const { namespace, bus, options, warn } = this.#setup;
    countLoss(bus, namespace, reason);
    warn({ code: `bus-${reason}`, message: `${LOSSES[reason]} (a subscription to "${namespace}")`, cause });
    if (this.#isInOnLoss) return;
    this.#isInOnLoss = true;
    try {
      options.onLoss?.({ reason, namespace });
    } catch (error) {
      warn({ code: "on-loss-failed", message: `onLoss of "${namespace}" threw`, cause: error });
    } finally {
      this.#isInOnLoss = false;
    }
  }
}

const LOSSES: Readonly<Record<Loss["reason"], string>> = {
  overflow: "an event was lost, for the subscriber takes them too slowly",
  interrupted: "the connection was down: events may have been missed",
  undecodable: "a message was left out, for it is no event",
};
