/**
 * Announcing what was stored: `EventStored`.
 *
 * @module
 */

import {
  type EventPublisher,
  type EventStored,
  INTERNAL_NAMESPACE,
  isInternalPublisher,
  publishInternally,
} from "../event/event_stored.ts";
import { currentTimestamp } from "../event/timestamp.ts";
import type { EventMetadata, StoredEvent } from "../event/types.ts";
import { telemetry } from "../telemetry.ts";
import type { Warn } from "../warning.ts";

/** How many publications may be under way at once; more than the events of any one commit. */
const MAX_PENDING = 10_000;
/** How long `close()` waits for those under way, in milliseconds. */
const CLOSE_WAIT = 2_000;

/** What has become of a store's announcements so far. */
export interface AnnouncementCounts {
  /** Those that the bus took. */
  readonly published: number;
  /** Those that the bus refused: it threw or rejected. */
  readonly failed: number;
  /** Those that were not tried, because too many were under way. */
  readonly dropped: number;
  /** Those under way. */
  readonly pending: number;
}

/** Publishes `EventStored` for what one store has stored. It never throws, and no call waits for it. */
export class Announcer {
  readonly #bus: EventPublisher;
  readonly #namespace: string;
  readonly #warn: Warn;
  #published = 0;
  #failed = 0;
  #dropped = 0;
  #pending = 0;
  #settled: (() => void) | undefined;

  constructor(bus: EventPublisher, namespace: string, warn: Warn) {
    this.#bus = bus;
    this.#namespace = namespace;
    this.#warn = warn;
  }

  /** What has become of the announcements so far. */
  get counts(): AnnouncementCounts {
    return {
      published: this.#published,
      failed: this.#failed,
      dropped: this.#dropped,
      pending: this.#pending,
    };
  }

  /** Publishes one announcement an event, in order. Returns the events. */
  readonly announce = <T extends readonly StoredEvent[]>(stored: T): T => {
    for (const event of stored) this.#announceOne(event);
    return stored;
  };

  #announceOne(event: StoredEvent): void {
    if (this.#pending >= MAX_PENDING) {
      this.#dropped++;
      this.#count("dropped");
      this.#warn({
        code: "event-stored-dropped",
        message: `EventStored was dropped: the bus has not settled ${MAX_PENDING} publications yet. ` +
          "The event itself is stored",
      });
      return;
    }
    let publication: unknown;
    try {
      const bus = this.#bus;
      publication = isInternalPublisher(bus)
        ? bus[publishInternally](INTERNAL_NAMESPACE, event, this.#make)
        : bus.publish(INTERNAL_NAMESPACE, this.#make(event));
    } catch (error) {
      this.#refused(error);
      return;
    }
    if (publication === undefined) this.#taken();
    else {
      this.#pending++;
      Promise.resolve(publication).then(
        () => {
          this.#leave();
          this.#taken();
        },
        (error) => {
          this.#leave();
          this.#refused(error);
        },
      );
    }
  }

  readonly #make = (event: StoredEvent): EventStored => {
    const { id: eventId, actorId, version, timestamp, eventType, position } = event;
    const namespace = this.#namespace;
    const data = Object.freeze({ eventId, actorId, version, timestamp, eventType, namespace, position });
    const made = {
      id: position,
      eventType: "EventStored",
      actorId,
      version,
      data,
      timestamp: currentTimestamp(),
    } as const;
    const metadata = event.metadata && passedOn(event.metadata);
    return Object.freeze(metadata ? { ...made, metadata } : made);
  };

  /** Waits until nothing is under way any more, or for as long as that is worth. */
  async close(): Promise<void> {
    if (this.#pending === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#settled = resolve;
    const timer = setTimeout(resolve, CLOSE_WAIT);
    await promise;
    clearTimeout(timer);
    if (this.#pending === 0) return;
    this.#warn({
      code: "event-stored-abandoned",
      message: `the store was closed while ${this.#pending} EventStored were on their way to the bus`,
    });
  }

  #leave(): void {
    if (--this.#pending === 0) this.#settled?.();
  }

  #taken(): void {
    this.#published++;
    this.#count("published");
  }

  #refused(cause: unknown): void {
    this.#failed++;
    this.#count("failed");
    this.#warn({
      code: "event-stored-failed",
      message: "the bus did not take EventStored. The event itself is stored",
      cause,
    });
  }

  #count(outcome: "published" | "failed" | "dropped"): void {
    telemetry()?.count("aether.event_stored", 1, {
      "aether.namespace": this.#namespace,
      "aether.outcome": outcome,
    });
  }
}

/** What an announcement carries on of the stored event's metadata. */
function passedOn({ traceparent, correlationId }: EventMetadata): EventMetadata | undefined {
  if (traceparent === undefined && correlationId === undefined) return undefined;
  return Object.freeze({
    ...(traceparent !== undefined && { traceparent }),
    ...(correlationId !== undefined && { correlationId }),
  });
}
