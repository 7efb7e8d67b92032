/**
 * A NATS cluster as its clients may experience it: one bucket behind a network that loses, delays, repeats and reorders, with
 * leaders that change, whose clocks differ, and whose reads may be old.
 *
 * @module
 */
import type {
  Bucket,
  BucketOrigin,
  BucketWatch,
  Entry,
  PutOptions,
  WatchUpdate,
} from "../../../src/cluster/bucket.ts";
import { ClosedError } from "../../../src/errors.ts";
import type { BucketState } from "../../../src/cluster/bucket_state.ts";
import type { Process } from "./process.ts";
import type { Subject } from "./subject.ts";
import type { World } from "./world.ts";

const TOMBSTONE_TTL = 5000;
const EXPIRY_CHECK_EVERY = 100;
const REQUEST_TIMEOUT = 2000;
const STALE_BY = 10_000;
const RESYNC_EVERY = 3000;

/** How bad the network is. All zero once the faults stop. */
export interface Faults {
  /** The probability that a message is lost. */
  loss: number;
  /** The probability that a message is very late: by up to `delay` ms. */
  late: number;
  /** In ms. */
  delay: number;
  /** The probability that a request arrives twice. */
  twice: number;
  /** The probability that a read is answered from the past. */
  stale: number;
}

/** A bucket, from when it is made until it is lost. */
interface Kept {
  readonly id: string;
  readonly state: BucketState;
  /** By the clock of the leader that made it. */
  readonly madeAt: number;
  readonly history: Map<string, { readonly time: number; readonly entry: Entry | undefined }[]>;
}

interface Clock {
  readonly rate: number;
  readonly offset: number;
}

/** A process that has not opened the bucket yet knows of none. */
const UNKNOWN: BucketOrigin = { id: "", madeBefore: Infinity };

/** What was asked was for a bucket that is gone. */
class Lost extends Error {}

/** The servers. */
export class Servers {
  readonly faults: Faults;
  readonly #world: World;
  readonly #subject: Subject;
  #kept: Kept | undefined;
  /** How many buckets there were. */
  #buckets = 0;
  /** The last revision of all of them. */
  #revision = 1000;
  readonly #clocks: readonly Clock[];
  readonly #watches = new Set<(entry: Entry) => void>();
  readonly #onWrite: (entry: Entry, before: Entry | undefined) => void;
  readonly #onRequest: (process: Process) => void;
  #leader = 0;
  /** Until when there is no leader. */
  #electionUntil = 0;

  constructor(
    world: World,
    subject: Subject,
    faults: Faults,
    maxClockSkew: number,
    onWrite: (entry: Entry, before: Entry | undefined) => void,
    onRequest: (process: Process) => void,
  ) {
    this.#world = world;
    this.#subject = subject;
    this.faults = faults;
    this.#onWrite = onWrite;
    this.#onRequest = onRequest;
    const { random } = world;
    // They agree within the skew over the length of a schedule: rates of their own are in the processes.
    this.#clocks = [0, 1, 2].map(() => ({ rate: 1, offset: random.between(0, maxClockSkew) }));
    this.#tick();
  }

  get #time(): number {
    const clock = this.#clocks[this.#leader] as Clock;
    return this.#world.time * clock.rate + clock.offset;
  }

  get hasLeader(): boolean {
    return this.#world.time >= this.#electionUntil;
  }

  /** The leader is gone; another is elected after a while. */
  changeLeader(duration: number): void {
    this.#electionUntil = this.#world.time + duration;
    this.#leader = (this.#leader + 1 + Math.floor(this.#world.random.next() * 2)) % 3;
    this.#world.note(`servers: election for ${duration.toFixed(0)}, next leader ${this.#leader}`);
  }

  /** Which bucket was the first: that is not lost with it. */
  #first: string | undefined;

  /** The bucket is gone, with all that is in it. */
  loseBucket(): void {
    this.#world.note("servers: the bucket is lost");
    this.#kept = undefined;
  }

  /** A program that does not know the protocol writes over a record. */
  damage(): void {
    const kept = this.#kept;
    const { random } = this.#world;
    const target = random.pick(kept === undefined ? [] : [...kept.state.entries()]);
    if (kept === undefined || target === undefined) return;
    this.#world.note(`servers: the record ${target.key} is damaged`);
    const text = random.pick(["", "{}", target.value?.replace(/\d/, "x") ?? "null"]);
    this.#announce(kept, kept.state.put(target.key, text, this.#time, { expected: target.revision }));
  }

  /** The bucket that is there, or a new one. */
  #make(): Kept {
    if (this.#kept !== undefined) return this.#kept;
    const state = new this.#subject.BucketState(this.#revision, TOMBSTONE_TTL);
    this.#kept = { id: `bucket-${++this.#buckets}`, state, madeAt: this.#time, history: new Map() };
    this.#world.note(`servers: ${this.#kept.id} is made`);
    return this.#kept;
  }

  #tick(): void {
    this.#world.after(EXPIRY_CHECK_EVERY, () => {
      const kept = this.#kept;
      if (this.hasLeader && kept) {
        for (const entry of kept.state.expire(this.#time)) this.#announce(kept, entry);
      }
      this.#tick();
    });
  }

  #announce(kept: Kept, entry: Entry): void {
    this.#revision = entry.revision;
    const history = kept.history.get(entry.key) ?? [];
    this.#onWrite(entry, history.at(-1)?.entry);
    history.push({ time: this.#world.time, entry });
    kept.history.set(entry.key, history);
    for (const watch of this.#watches) watch(entry);
  }

  /** The entry of a key as it is on the leader. */
  read(key: string): Entry | undefined {
    return this.#kept?.state.get(key);
  }

  #readStale(kept: Kept, key: string): Entry | undefined {
    const time = this.#world.time - this.#world.random.between(0, STALE_BY);
    return kept.history.get(key)?.findLast((past) => past.time <= time)?.entry;
  }

  /** The consumer of a watch may live on a server that lags behind. */
  #snapshot(kept: Kept): Entry[] {
    if (!this.#world.random.chance(this.faults.stale)) return [...kept.state.entries()];
    return [...kept.history.keys()].map((key) => this.#readStale(kept, key)).filter((entry) =>
      entry !== undefined
    );
  }

  /** The bucket as one process has it: each call is for the bucket that the process knows of. */
  connect(process: Process): Bucket {
    let origin: BucketOrigin | undefined;
    let looking: Promise<void> | undefined;
    const look = (): Promise<void> =>
      looking ??= this.#look(process).then((found) => {
        origin = found;
      }).finally(() => looking = undefined);
    const call = async <T>(operation: string, apply: (kept: Kept) => T, timeout?: number): Promise<T> => {
      if (origin === undefined) await look();
      const { id } = origin!;
      try {
        return await this.#request(process, operation, () => apply(this.#keptAs(id)), timeout);
      } catch (error) {
        if (error instanceof Lost && origin?.id === id) await look();
        throw error instanceof Lost ? this.#subject.unanswered(operation) : error;
      }
    };
    return {
      get origin() {
        return origin ?? UNKNOWN;
      },
      get: (key) =>
        call(
          `get ${key}`,
          (kept) =>
            this.#world.random.chance(this.faults.stale) ? this.#readStale(kept, key) : kept.state.get(key),
        ),
      put: (key, value, options: PutOptions) =>
        call(`put ${key} over ${options.expected}`, (kept) => {
          const entry = kept.state.put(key, value, this.#time, options);
          this.#announce(kept, entry);
          return entry.revision;
        }, options.timeout),
      remove: (key, expected) =>
        call(`remove ${key} at ${expected}`, (kept) => {
          const entry = kept.state.remove(key, expected, this.#time);
          this.#announce(kept, entry);
          return entry.revision;
        }),
      watch: (patterns, listener) => this.#watch(process, patterns, listener),
    };
  }

  #keptAs(id: string): Kept {
    if (this.#kept?.id !== id) throw new Lost(id);
    return this.#kept;
  }

  /** Opens the bucket, or makes it. */
  async #look(process: Process): Promise<BucketOrigin> {
    const { id, age, isFirst } = await this.#request(process, "open", () => {
      const { id, madeAt } = this.#make();
      this.#first ??= id;
      return { id, age: Math.max(0, this.#time - madeAt), isFirst: id === this.#first };
    });
    return { id, madeBefore: process.clock.monotonic() - age, isFirst };
  }

  /** Sends something one way; it may arrive late, never, or (requests) twice. */
  #send(process: Process, deliver: () => void, mayRepeat: boolean, extra = 0): void {
    const { random } = this.#world;
    const copies = mayRepeat && random.chance(this.faults.twice) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (process.isCut || process.connection !== "open" || random.chance(this.faults.loss)) continue;
      const delay = random.chance(this.faults.late)
        ? random.between(0, this.faults.delay)
        : random.between(0.2, 5);
      this.#world.after(delay + extra, deliver);
    }
  }

  #request<T>(
    process: Process,
    operation: string,
    apply: () => T,
    timeout: number = REQUEST_TIMEOUT,
  ): Promise<T> {
    this.#onRequest(process);
    const refusal = this.#refusal(process, operation);
    if (refusal !== undefined) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      const cancel = process.clock.setTimer(() => {
        this.#world.note(`${process.name}: ${operation}: no answer`);
        reject(this.#subject.unanswered(operation));
      }, timeout);
      this.#send(process, () => this.#arrive(process, operation, apply, cancel, resolve, reject), true);
    });
  }

  #refusal(process: Process, operation: string): Error | undefined {
    if (process.connection === "open") return undefined;
    return process.connection === "closed"
      ? new ClosedError("connection")
      : this.#subject.unanswered(operation, { cause: new Error("the credentials were refused") });
  }

  #arrive<T>(
    process: Process,
    operation: string,
    apply: () => T,
    cancel: () => void,
    resolve: (value: T) => void,
    reject: (reason: unknown) => void,
  ): void {
    if (!this.hasLeader) {
      // A server that stands still takes the request up again when it goes on.
      if (this.#world.random.chance(0.3)) {
        this.#world.after(
          this.#electionUntil - this.#world.time + this.#world.random.between(0, 500),
          () => this.#arrive(process, operation, apply, cancel, resolve, reject),
        );
      }
      return;
    }
    let answer: () => void;
    let outcome: string;
    try {
      const value = apply();
      outcome = JSON.stringify(value);
      answer = () => resolve(value);
    } catch (error) {
      outcome = "refused";
      answer = () => reject(error);
    }
    this.#world.note(`${process.name}: ${operation}: ${outcome}`);
    this.#send(
      process,
      () =>
        process.deliver(() => {
          cancel();
          answer();
        }),
      false,
      process.answersLateBy,
    );
  }

  /** Reports may be lost, late or out of order; now and then everything is reported again. */
  #watch(
    process: Process,
    patterns: readonly string[],
    listener: (update: WatchUpdate) => void,
  ): BucketWatch {
    let open = true;
    const matches = (entry: Entry): boolean =>
      patterns.some((pattern) => this.#subject.matchesKey(pattern, entry.key));
    const report = (update: WatchUpdate): void =>
      this.#send(process, () => process.deliver(() => open && listener(update)), false);
    const watch = (entry: Entry): void => {
      if (matches(entry)) report({ type: "entry", entry });
    };
    const resync = (): void => {
      if (!open || !process.isAlive) {
        this.#watches.delete(watch);
        return;
      }
      const kept = this.#kept;
      if (process.connection === "refused") {
        const error = this.#refusal(process, "watch");
        process.deliver(() => open && listener({ type: "unavailable", error }));
      } else if (this.hasLeader && kept) {
        report({ type: "snapshot", entries: this.#snapshot(kept).filter(matches) });
      }
      this.#world.after(RESYNC_EVERY, resync);
    };
    this.#watches.add(watch);
    resync();
    return {
      close: () => {
        open = false;
        this.#watches.delete(watch);
      },
    };
  }
}
