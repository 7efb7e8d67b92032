/** Callers that write down what they asked for and what they were told, as a history that the checker of stores reads. */

import {
  ActorBusyError,
  type ActorClient,
  ActorFailedError,
  ActorUnavailableError,
  OutcomeUnknownError,
} from "@flowmade-one/aether/actor";
import type { Random } from "../../support/random.ts";
import type { Attempt, History, KnownEvent, Look } from "../../store/jetstream/chaos/history.ts";
import { tally } from "./tally.ts";

/** How many actors there are: few, so that callers meet. */
const ACTORS = 5;
/** How long one call may take, in milliseconds. */
const TIMEOUT = 4_000;
/** How long a call is repeated whose outcome is unknown, in milliseconds. */
const BOUND = 120_000;

type Call = Omit<Attempt, "answer"> & { readonly version: number | undefined };

/** Callers that go on until they are told to stop. */
export class Callers {
  readonly #client: ActorClient;
  readonly #random: Random;
  readonly #calls: Call[] = [];
  readonly #looks: Look[] = [];
  readonly #done: Promise<unknown>;
  #isStopping = false;
  #failure: unknown;
  /** How many calls were answered. */
  answered = 0;

  constructor(client: ActorClient, count: number, random: Random) {
    this.#client = client;
    this.#random = random;
    this.#done = Promise.all(Array.from({ length: count }, (_, index) => this.#run(`caller-${index}`)));
    this.#done.catch((error) => this.#failure = error); // stop() reports it
  }

  /** Why a caller has given up, if one has. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Lets them finish what they have begun. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#done;
  }

  /** What happened, beside the log at the end. */
  historyWith(log: readonly KnownEvent[]): History {
    const stored = new Map(log.map((event) => [event.id, event]));
    const attempts = this.#calls.map(({ version, ...call }): Attempt => {
      const event = call.events[0]!;
      const known = { position: stored.get(event.id)?.position ?? "", ...event, version: version ?? 0 };
      return {
        ...call,
        answer: version === undefined ? { kind: "refused", error: "" } : { kind: "stored", events: [known] },
      };
    });
    const always = [{ from: 0, to: Infinity }];
    return { attempts, looks: this.#looks, readings: [], log, outages: always, stale: [] };
  }

  async #run(name: string): Promise<void> {
    for (let index = 1; !this.#isStopping; index++) {
      const actorId = `tally-${Math.floor(this.#random.between(0, ACTORS))}`;
      if (this.#random.chance(0.25)) await this.#look(name, actorId);
      else await this.#call(name, actorId, `${name}.${index}`);
      await new Promise((resolve) => setTimeout(resolve, this.#random.between(0, 8)));
    }
  }

  async #look(process: string, actorId: string): Promise<void> {
    const begun = performance.now();
    try {
      const latestVersion = await this.#client.get(tally, actorId).query("count");
      this.#looks.push({ process, actorId, begun, ended: performance.now(), latestVersion });
      this.answered++;
    } catch (error) {
      if (!isWithoutEffect(error)) throw error;
    }
  }

  async #call(process: string, actorId: string, call: string): Promise<void> {
    const begun = performance.now();
    const version = await this.#repeat(actorId, call);
    const events = [{ actorId, id: `${call}/1`, eventType: "Called", data: { call } }];
    const ended = performance.now();
    this.#calls.push({ process, how: "append", expected: "any", events, timeout: 0, begun, ended, version });
    this.answered++;
  }

  /** Calls until the outcome is known; `undefined` if nothing was stored. */
  async #repeat(actorId: string, call: string): Promise<number | undefined> {
    const deadline = performance.now() + BOUND;
    let mayBeStored = false;
    for (;;) {
      try {
        const { version } = await this.#client.get(tally, actorId).call(call, { id: call, timeout: TIMEOUT });
        return version;
      } catch (error) {
        if (error instanceof OutcomeUnknownError) mayBeStored = true;
        else if (!isWithoutEffect(error)) throw error;
        else if (!mayBeStored) return undefined;
        if (performance.now() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }
}

function isWithoutEffect(error: unknown): boolean {
  return error instanceof ActorBusyError || error instanceof ActorUnavailableError ||
    (error instanceof ActorFailedError && !error.isStored);
}
