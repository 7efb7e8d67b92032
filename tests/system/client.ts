/**
 * Customers of the whole-system test: they place orders, pay them or cancel them, and repeat each request under one key
 * until it is answered.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type Step, STEPS } from "./shop.ts";

/** A request that was answered. */
export interface Acknowledged {
  /** The order. */
  readonly order: string;
  /** What was asked for. */
  readonly step: Step;
  /** The request's key. */
  readonly request: string;
  /** The event that it led to. */
  readonly id: string;
  /** Its version. */
  readonly version: number;
  /** Its position. */
  readonly position: string;
}

/** How long one try may take, in milliseconds. */
const PATIENCE = 6_000;
/** How long a request is tried, in milliseconds. */
const BOUND = 180_000;

/** Customers that go on until they are told to stop. */
export class Customers {
  /** Every answer. */
  readonly acknowledged: Acknowledged[] = [];
  readonly #addresses: () => readonly string[];
  readonly #random: () => number;
  readonly #done: Promise<unknown>;
  #failure: unknown;
  #stopping = false;
  #orders = 0;
  #retries = 0;

  /**
   * @param count How many customers.
   * @param addresses Where the services are now.
   * @param random Numbers from 0 to 1.
   */
  constructor(count: number, addresses: () => readonly string[], random: () => number) {
    this.#addresses = addresses;
    this.#random = random;
    this.#done = Promise.all(Array.from({ length: count }, () => this.#shop()));
    this.#done.catch((error) => this.#failure = error); // stop() reports it
  }

  /** Why a customer has given up, if one has. */
  get failure(): unknown {
    return this.#failure;
  }

  /** How often a request had to be repeated. */
  get retries(): number {
    return this.#retries;
  }

  /** Lets them finish what they have begun. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#done;
  }

  async #shop(): Promise<void> {
    while (!this.#stopping) {
      const order = `order-${++this.#orders}`;
      await this.#ask(order, "place");
      await this.#ask(order, this.#random() < 0.8 ? "pay" : "cancel");
    }
  }

  /** Asks until it is answered; now and then once more afterwards, which must lead to the same answer. */
  async #ask(order: string, step: Step): Promise<void> {
    const request = `${order}:${step}`;
    const answer = await this.#repeat(order, step, request);
    this.acknowledged.push({ order, step, request, ...answer });
    if (this.#random() < 0.1) assert.deepEqual(await this.#repeat(order, step, request), answer);
    if (this.#random() > 0.05) return;
    // What the order does not allow is refused, and leaves nothing behind.
    const other = step === "place" ? "place" : "pay";
    await assert.rejects(this.#repeat(order, other, `${request}:again`), /409/, STEPS[other].eventType);
  }

  async #repeat(
    order: string,
    step: Step,
    request: string,
  ): Promise<Pick<Acknowledged, "id" | "version" | "position">> {
    const deadline = performance.now() + BOUND;
    for (let attempt = 1;; attempt++) {
      const addresses = this.#addresses();
      const address = addresses[Math.floor(this.#random() * addresses.length)];
      const said = await fetch(`${address}/${order}/${step}`, {
        method: "POST",
        headers: { "idempotency-key": request },
        signal: AbortSignal.timeout(PATIENCE),
      }).then(
        async (response) => ({ status: response.status, text: await response.text() }),
        (error: unknown) => ({ status: 0, text: String(error) }),
      );
      if (said.status === 200) return JSON.parse(said.text);
      if (said.status === 409) throw new Error(`409 ${said.text}`);
      assert(performance.now() < deadline, `${request} is not answered: ${said.status} ${said.text}`);
      this.#retries++;
      await new Promise((resolve) => setTimeout(resolve, 50 * this.#random() * Math.min(attempt, 10)));
    }
  }
}
