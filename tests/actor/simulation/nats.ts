/**
 * A NATS server between the processes: messages are lost, late, repeated, and cut off; what a connection sends arrives in
 * order unless it is late.
 *
 * @module
 */
import type {
  NatsConnection,
  NatsMessage,
  NatsPublishOptions,
  NatsStatus,
  NatsSubscription,
  NatsSubscriptionOptions,
} from "../../../src/nats/connection.ts";
import type { Process } from "../../cluster/simulation/process.ts";
import type { World } from "../../cluster/simulation/world.ts";
import { enter } from "./globals.ts";

/** How bad the network is. All zero once the faults stop. */
export interface Faults {
  /** The probability that a message is lost. */
  loss: number;
  /** The probability that a message is late, and everything behind it on its connection. */
  late: number;
  /** By how much at most, in ms. */
  delay: number;
  /** The probability that a request to an actor arrives after its client has sent it again. */
  stray: number;
  /** The probability that a request to the store arrives a second time. */
  twice: number;
}

interface Subscription {
  readonly process: Process;
  readonly matches: (subject: string) => boolean;
  readonly callback: NatsSubscriptionOptions["callback"];
  isOpen: boolean;
}

/** A connection whose state a schedule changes. */
export interface SimulatedConnection extends NatsConnection {
  /** The process notices that its connection is down, or up again. */
  report(): void;
}

/** What takes note of messages. */
export interface Listener {
  /** A request was sent. */
  sent(process: Process, subject: string, data: Uint8Array, reply: string): void;
  /** A request has arrived at a process. */
  arrived(process: Process, subject: string, data: Uint8Array, reply: string): void;
  /** Whether an earlier try of a request may still arrive: its caller has not been told that it has no effect. */
  mayArriveLate(data: Uint8Array): boolean;
  /** A process has sent an answer. */
  answered(process: Process, reply: string, data: Uint8Array): void;
}

const NO_RESPONDERS = { code: 503, description: "", keys: () => [], get: () => "" };

/** The server. */
export class Nats {
  readonly #world: World;
  readonly #faults: Faults;
  readonly #listener: Listener;
  readonly #subscriptions = new Set<Subscription>();
  /** When the last message of each direction of a connection arrives. */
  readonly #last = { up: new Map<Process, number>(), down: new Map<Process, number>() };

  constructor(world: World, faults: Faults, listener: Listener) {
    this.#world = world;
    this.#faults = faults;
    this.#listener = listener;
  }

  /** A process's connection. */
  connect(process: Process): SimulatedConnection {
    const statuses: ((status: NatsStatus) => void)[] = [];
    const reported: NatsStatus[] = [];
    return {
      // As in the production connection, the options are there though its type does not say so.
      ...{ options: { inboxPrefix: `_INBOX.${process.newId()}` } },
      info: { version: "2.15.1", max_payload: 1_048_576, server_name: "simulated" },
      publish: (subject: string, data = new Uint8Array(), options: NatsPublishOptions = {}): void =>
        this.#publish(process, subject, data, options.reply),
      request: (): never => {
        throw new Error("not simulated");
      },
      subscribe: (subject: string, { callback }: NatsSubscriptionOptions): NatsSubscription =>
        this.#subscribe(process, subject, callback),
      flush: (): Promise<void> =>
        new Promise((resolve) =>
          this.#send(
            process,
            "up",
            () => this.#send(process, "down", () => enter(process, resolve), true),
            true,
          )
        ),
      status: () => ({
        async *[Symbol.asyncIterator](): AsyncGenerator<NatsStatus> {
          const pending: NatsStatus[] = [];
          let wake = (): void => {};
          statuses.push((status) => {
            pending.push(status);
            wake();
          });
          for (;;) {
            while (pending.length > 0) yield pending.shift()!;
            await new Promise<void>((resolve) => wake = resolve);
          }
        },
      }),
      isClosed: () => false,
      close: () => Promise.resolve(),
      report: (): void => {
        // In order, and as it is now: what a paused process is told comes later, and in any order.
        reported.push({ type: process.isCut ? "disconnect" : "reconnect" });
        enter(process, () => {
          const status = reported.shift()!;
          for (const take of statuses) take(status);
        });
      },
    };
  }

  /** Forgets a process that has crashed. */
  forget(process: Process): void {
    for (const subscription of this.#subscriptions) {
      if (subscription.process === process) this.#subscriptions.delete(subscription);
    }
  }

  #subscribe(process: Process, subject: string, callback: Subscription["callback"]): NatsSubscription {
    const matches = subject.endsWith("*")
      ? (other: string): boolean => other.startsWith(subject.slice(0, -1))
      : (other: string): boolean => other === subject;
    const subscription: Subscription = { process, matches, callback, isOpen: true };
    // A host listens to announcements of moves before it has shards.
    if (subject.includes(".node.")) this.#subscriptions.add(subscription);
    else this.#send(process, "up", () => this.#subscriptions.add(subscription), true);
    const end = (): Promise<void> =>
      new Promise((resolve) =>
        this.#send(process, "up", () => {
          this.#subscriptions.delete(subscription);
          this.#send(process, "down", () => enter(process, resolve), true);
        }, true)
      );
    return {
      unsubscribe: () => {
        subscription.isOpen = false; // what is on its way is dropped
        void end();
      },
      drain: async () => {
        await end();
        subscription.isOpen = false;
      },
    };
  }

  #publish(process: Process, subject: string, data: Uint8Array, reply: string | undefined): void {
    if (reply === undefined) this.#listener.answered(process, subject, data);
    else this.#listener.sent(process, subject, data, reply);
    const { random } = this.#world;
    if (reply !== undefined && random.chance(this.#faults.stray)) {
      // It is held up on the way: its client sends it again before it arrives, out of order.
      const arrive = (): void => this.#route(process, subject, data, reply, true);
      return void this.#world.after(random.between(1_500, 6_000), arrive);
    }
    this.#send(process, "up", () => this.#route(process, subject, data, reply));
  }

  #route(from: Process, subject: string, data: Uint8Array, reply: string | undefined, isStray = false): void {
    const found = [...this.#subscriptions].filter(({ matches }) => matches(subject));
    for (const subscription of found) {
      const { process, callback } = subscription;
      const take = (): void => {
        if (!subscription.isOpen) return;
        if (isStray && !this.#listener.mayArriveLate(data)) return;
        if (reply !== undefined) this.#listener.arrived(process, subject, data, reply);
        callback(null, message(subject, data, reply));
      };
      this.#send(process, "down", () => enter(process, take));
    }
    if (found.length > 0 || reply === undefined) return;
    const inbox = [...this.#subscriptions].find(({ matches, process }) => process === from && matches(reply));
    if (!inbox) return;
    const answer: NatsMessage = { subject: reply, data: new Uint8Array(), headers: NO_RESPONDERS };
    this.#send(from, "down", () => enter(from, () => inbox.isOpen && inbox.callback(null, answer)));
  }

  /** Sends something one way. What is reliable is as late as the rest, and not lost: the client repeats it. */
  #send(process: Process, direction: "up" | "down", deliver: () => void, isReliable = false): void {
    const { random, time } = this.#world;
    if (!isReliable && (process.isCut || random.chance(this.#faults.loss))) return;
    const delay = random.chance(this.#faults.late)
      ? random.between(0, this.#faults.delay)
      : random.between(0.1, 2);
    const last = this.#last[direction];
    const due = Math.max(time + delay, last.get(process) ?? 0);
    last.set(process, due);
    this.#world.after(due - time, () => {
      if (process.isAlive && (isReliable || !process.isCut)) deliver();
    });
  }
}

function message(subject: string, data: Uint8Array, reply: string | undefined): NatsMessage {
  return { subject, data, ...(reply !== undefined && { reply }) };
}
