/**
 * What a program holds of an actor: it checks calls, and sends them to where the actor is.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { copyJson, JsonFault, JsonTooLarge } from "../event/json.ts";
import type { Event } from "../event/types.ts";
import { checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { describe, utf8Length } from "../text.ts";
import { checkActorId } from "../store/check_options.ts";
import { checkCommandId } from "../store/command_id.ts";
import { telemetry } from "../telemetry.ts";
import type { CallOrigin, CallResult } from "./call.ts";
import { chainTo } from "./chain.ts";
import type { ActorReference, CallOptions } from "./client.ts";
import { type ActorDefinition, type AnyActor, definitionOf } from "./definition.ts";
import type { TimerReference } from "./timer.ts";
import { MAX_COMMAND_BYTES, MAX_TIMEOUT } from "./limits.ts";

const CALL_OPTIONS: OptionNames<CallOptions> = { id: true, timeout: true, signal: true };
const DEFAULT_TIMEOUT = 5_000;

/** A command or a query, checked. */
export interface ActorRequest {
  /** The kind of the actor. */
  readonly definition: AnyActor;
  /** The actor. */
  readonly actorId: string;
  /** The command, a copy; the name of the query; or a timer that is due. */
  readonly content:
    | { readonly command: unknown }
    | { readonly query: string }
    | { readonly timer: TimerReference };
  /** The name of the command. */
  readonly id: string | undefined;
  /** Whether the caller has named the command, and so may call it again from anywhere. @default {whether it has an id} */
  readonly isNamed?: boolean;
  /** Whether an earlier call of the command may be stored. @default {false} */
  readonly mayBeStored?: boolean;
  /** How long the answer may take, in milliseconds. */
  readonly timeout: number;
  /** Gives the request up. */
  readonly signal: AbortSignal | undefined;
  /** Where it comes from. */
  readonly origin: CallOrigin;
}

/** Sends a request to its actor, and waits for the answer. */
export type SendRequest = (request: ActorRequest) => Promise<unknown>;

/**
 * Makes the reference of an actor.
 *
 * @throws {InvalidArgumentError} If the definition is not one of those known, or the id is not of it.
 */
export function referTo<S, C, E extends Event, A>(
  known: ReadonlyMap<string, AnyActor>,
  given: ActorDefinition<S, C, E, A>,
  actorId: string,
  send: SendRequest,
): Omit<ActorReference<S, C, E, A>, "events"> {
  const definition: AnyActor = given;
  if (known.get(given?.name) !== definition) {
    throw new InvalidArgumentError(
      "definition",
      "is not one of this host or client: name it in options.actors",
    );
  }
  checkActorId(actorId);
  if (definitionOf(actorId, known.values()) !== definition) {
    throw new InvalidArgumentError(
      "actorId",
      `must be "${given.name}-" and a key, as in "${given.name}-1", and is ${describe(actorId)}`,
    );
  }
  return {
    id: actorId,
    call: (command: C, options?: CallOptions) =>
      fromHere<CallResult<S>>(actorId, async (origin) => {
        const { id, timeout = DEFAULT_TIMEOUT, signal } = readOptions(options, checkCall);
        signal?.throwIfAborted();
        const content = { command: copyCommand(command) };
        return await traced({ definition, actorId, content, id, timeout, signal, origin }, send);
      }),
    query: (name) =>
      fromHere<A[typeof name]>(actorId, async (origin) => {
        if (!Object.hasOwn(given.queries, name)) {
          const names = Object.keys(given.queries).join(", ") || "none";
          throw new InvalidArgumentError("name", `must be one of ${names}, and is ${describe(name)}`);
        }
        const content = { query: name };
        const request = { definition, actorId, content, timeout: DEFAULT_TIMEOUT, origin };
        return await traced({ ...request, id: undefined, signal: undefined }, send);
      }),
  };
}

/**
 * Makes a call. A decision or a query cannot wait for a call that it makes: it fails if the call would wait for itself, and
 * other errors of the call, which it cannot handle, do not end the process.
 */
function fromHere<T>(actorId: string, run: (origin: CallOrigin) => Promise<unknown>): Promise<T> {
  const chain = chainTo(actorId);
  const answer = run({ chain }) as Promise<T>;
  if (chain.length > 0) answer.catch(() => {});
  return answer;
}

/** Sends a request within a span. */
function traced(request: ActorRequest, send: SendRequest): Promise<unknown> {
  const reporting = telemetry();
  if (!reporting) return send(request);
  const operation = "query" in request.content ? "query" : "call";
  const attributes = { "aether.operation": operation, "aether.actor_id": request.actorId };
  return reporting.inSpan("aether.call", { attributes }, ({ traceparent }) => {
    return send({ ...request, origin: { ...request.origin, traceparent } });
  });
}

function checkCall(options: CallOptions): CallOptions {
  checkKnown(options, CALL_OPTIONS);
  const { id, timeout, signal } = options;
  if (id !== undefined) checkCommandId(id, "options.id");
  if (timeout !== undefined && !(typeof timeout === "number" && timeout > 0 && timeout <= MAX_TIMEOUT)) {
    throw new InvalidArgumentError(
      "options.timeout",
      `must be above 0 and at most ${MAX_TIMEOUT} milliseconds, and is ${describe(timeout)}`,
    );
  }
  checkSignal(signal);
  return {
    ...(id !== undefined && { id }),
    ...(timeout !== undefined && { timeout }),
    ...(signal && { signal }),
  };
}

/**
 * A command as it is sent.
 *
 * @throws {InvalidArgumentError} If it is not JSON, or too large.
 */
export function copyCommand(command: unknown): unknown {
  try {
    const { value, most } = copyJson(command, "command", MAX_COMMAND_BYTES);
    if (most > MAX_COMMAND_BYTES && utf8Length(JSON.stringify(value)) > MAX_COMMAND_BYTES) {
      throw new JsonTooLarge(most);
    }
    return value;
  } catch (error) {
    if (error instanceof JsonFault) {
      throw new InvalidArgumentError(error.path, error.message, { cause: error });
    }
    if (error instanceof JsonTooLarge) {
      throw new InvalidArgumentError("command", `must be at most ${MAX_COMMAND_BYTES} bytes as JSON`);
    }
    throw error;
  }
}

/**
 * Refuses what is not a list of definitions.
 *
 * @returns The definitions by their names.
 */
export function checkActors(actors: unknown, argument = "options.actors"): ReadonlyMap<string, AnyActor> {
  if (!Array.isArray(actors) || actors.length === 0) {
    throw new InvalidArgumentError(
      argument,
      `must be a list of one or more definitions, and is ${
        Array.isArray(actors) ? "empty" : describe(actors)
      }`,
    );
  }
  const known = new Map<string, AnyActor>();
  for (const actor of actors) {
    const name = typeof actor === "object" ? actor?.name : undefined;
    if (typeof name !== "string" || typeof actor.decider?.decide !== "function") {
      throw new InvalidArgumentError(
        argument,
        `must be made with defineActor(), and is ${describe(actor)}`,
      );
    }
    if (known.has(name)) {
      throw new InvalidArgumentError(argument, `must have different names, and two are "${name}"`);
    }
    known.set(name, actor);
  }
  return known;
}
