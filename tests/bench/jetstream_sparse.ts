/**
 * Logs of many actors, each of their hundred events as far from the one before as can be.
 *
 * @module
 */

import assert from "node:assert/strict";
import { JetStreamEventStore } from "../../src/store/jetstream/mod.ts";
import { concurrently, once } from "./harness.ts";
import { event, type Raw, stockReplay } from "./jetstream_raw.ts";

/** How many events each actor has. */
const PER_ACTOR = 100;
/** How many of the actors are replayed. */
const REPLAYED = 500;

/** One such log. */
export class SparseLog {
  /** How many events it has. */
  readonly events: number;
  /** Its namespace. */
  readonly namespace: string;
  /** Its stream. */
  readonly stream: string;
  /** Fills it, at the first call. */
  readonly fill: () => Promise<void>;
  readonly #raw: Raw;
  readonly #url: string;
  readonly #actors: number;
  /** The stream sequences of each actor's events. */
  readonly #sequences = new Map<number, readonly number[]>();
  /** The subjects of all actors. */
  #subjects = "";
  #reader: JetStreamEventStore | undefined;

  constructor(url: string, raw: Raw, events: number, closing: (close: () => Promise<void>) => void) {
    this.events = events;
    this.namespace = `sparse${events}`;
    this.stream = `aether_${this.namespace}`;
    this.#url = url;
    this.#raw = raw;
    this.#actors = events / PER_ACTOR;
    this.fill = once(async () => {
      await this.#write();
      // Another store reads, which has no head in mind.
      const reader = await JetStreamEventStore.open(url, { namespace: this.namespace });
      closing(() => reader.close());
      this.#reader = reader;
      const { config } = await raw.requests.streamInfo(this.stream);
      [this.#subjects = ""] = config["subjects"] as string[];
      for (let actor = 0; actor < Math.min(this.#actors, REPLAYED); actor++) {
        const events = await reader.getEvents(`sparse-${actor}`);
        assert.equal(events.length, PER_ACTOR);
        this.#sequences.set(actor, events.map(({ position }) => parseInt(position.slice(13, 27), 16)));
      }
    });
  }

  async #write(): Promise<void> {
    const { namespace } = this;
    await using store = await JetStreamEventStore.open(this.#url, { namespace, maxInFlight: 4_096 });
    for (let version = 0; version < PER_ACTOR; version++) {
      await concurrently(
        this.#actors,
        512,
        (actor) => store.append(`sparse-${actor}`, [event(version)], { expectedVersion: version }),
      );
    }
  }

  /** Any actor that is replayed. */
  #pick(): number {
    return Math.floor(Math.random() * this.#sequences.size);
  }

  /** Replays an actor. */
  async replay(): Promise<void> {
    const events = await this.#reader!.getEvents(`sparse-${this.#pick()}`);
    assert.equal(events.length, PER_ACTOR);
    assert.equal(events.at(-1)?.version, PER_ACTOR);
  }

  /** Fetches the messages of an actor, whose sequences are known, and parses them. */
  async fetchKnown(): Promise<void> {
    const messages = await this.#raw.requests.getDirect(this.stream, this.#sequences.get(this.#pick())!);
    let events = 0;
    for (const message of messages) events += (JSON.parse(decoder.decode(message!.data)) as unknown[]).length;
    assert.equal(events, PER_ACTOR);
  }

  /** Replays an actor as the stock client does. */
  async replayStock(): Promise<void> {
    const subject = this.#subjects.replace(">", `sparse-${this.#pick()}`);
    await stockReplay(this.#url, this.stream, subject, PER_ACTOR);
  }

  /** Reads it all. */
  async readAll(): Promise<void> {
    let events = 0;
    let versions = 0;
    for await (const { version } of this.#reader!.readAll()) {
      events++;
      versions += version;
    }
    assert.equal(events, this.events);
    assert.equal(versions, this.#actors * PER_ACTOR * (PER_ACTOR + 1) / 2);
  }
}

const decoder = new TextDecoder();
