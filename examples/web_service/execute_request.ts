/**
 * A command that comes over a network: it may be meant for a version that its sender saw, and it may come twice.
 *
 * @module
 */
import {
  type Decider,
  type Event,
  type EventStore,
  type NewEvent,
  VersionConflictError,
} from "@flowmade-one/aether/deno-kv";

/** What comes with a command. */
export interface CommandRequest {
  /** The version that the actor must be at. Without it, it decides on the present state. */
  readonly expectedVersion?: number | undefined;
  /** The same for each repetition of one request. Without it a repetition is a request of its own. */
  readonly idempotencyKey?: string | undefined;
}

/** The answer: the state behind the command's own events, without what has come since. */
export interface CommandAnswer<S> {
  readonly state: S;
  readonly version: number;
}

/** The key has been used for another request. */
export class KeyReusedError extends Error {
  override readonly name = "KeyReusedError";

  constructor() {
    super("the idempotency key has been used for another request");
  }
}

/** How often a command is decided again after others came first. */
const MOST_ATTEMPTS = 20;

/**
 * Executes a command, once for each idempotency key. The key names the events that the command leads to: a repetition
 * meets the first of them in the history, decides again where it was decided then, and appends the same events at the
 * same version, which the store answers with those that it has.
 *
 * @throws {VersionConflictError} If the actor is not at the expected version.
 * @throws {KeyReusedError} If the key has been used for another command.
 */
export async function executeRequest<S, C, E extends Event>(
  store: Pick<EventStore<E>, "readEvents" | "append">,
  actorId: string,
  decider: Decider<S, C, E>,
  command: C,
  { expectedVersion, idempotencyKey }: CommandRequest,
): Promise<CommandAnswer<S>> {
  const ids = idempotencyKey === undefined ? undefined : await idsOf(actorId, idempotencyKey);
  for (let attempt = 1;; attempt++) {
    let state = decider.initialState();
    let version = 0;
    let isRepeated = false;
    for await (const event of store.readEvents(actorId)) {
      isRepeated = event.id === ids?.(0);
      if (isRepeated) break;
      state = decider.evolve(state, event as unknown as E);
      version = event.version;
    }
    if (expectedVersion !== undefined && expectedVersion !== version) {
      if (isRepeated) throw new KeyReusedError();
      throw new VersionConflictError({
        actorId,
        attemptedVersion: expectedVersion + 1,
        currentVersion: version,
      });
    }
    const decided = decider.decide(command, state)
      .map((event, index) => ({ ...event, ...(ids && { id: ids(index) }) }) as NewEvent<E>);
    try {
      const events = await store.append(actorId, decided, { expectedVersion: version });
      for (const event of events as unknown as E[]) state = decider.evolve(state, event);
      return { state, version: events.at(-1)?.version ?? version };
    } catch (error) {
      if (!(error instanceof VersionConflictError)) throw error;
      if (isRepeated) throw new KeyReusedError();
      if (attempt === MOST_ATTEMPTS) throw error;
    }
    // Another writer was first: look again, each after another while.
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 5 * attempt));
  }
}

/** Makes the ids of the events that a key names. */
async function idsOf(actorId: string, key: string): Promise<(index: number) => string> {
  const bytes = new TextEncoder().encode(JSON.stringify([actorId, key]));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  return (index) => `${digest}-${index}`;
}
