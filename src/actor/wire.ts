/**
 * Requests and answers as messages.
 *
 * @module
 */

import { classNamed, registeredName } from "../copies.ts";
import { AetherError } from "../errors.ts";
import { actorIdFault } from "../event/draft.ts";
import { copyJson, freezeJson } from "../event/json.ts";
import { checkActorId } from "../store/check_options.ts";
import { commandIdFault, TIMER_PREFIX } from "../store/command_id.ts";
import { isTraceparent } from "../telemetry.ts";
import { messageOf, utf8 } from "../text.ts";
import { declaredName } from "./decision.ts";
import type { AnyActor } from "./definition.ts";
import type { TimerReference } from "./timer.ts";
import { ActorBusyError, ActorFailedError } from "./errors.ts";
import { MAX_COMMAND_BYTES, MAX_TIMEOUT } from "./limits.ts";

/** A request as it travels. */
export interface WireRequest {
  /** The name of the actor's kind. */
  readonly kind: string;
  /** The version of the caller's definition. */
  readonly version: number;
  /** The actor. */
  readonly actor: string;
  /** The command; absent if it is a query or a timer. */
  readonly command?: unknown;
  /** The name of the query. */
  readonly query?: string;
  /** The timer that is due. */
  readonly timer?: TimerReference;
  /** The name of the command. */
  readonly id?: string;
  /** Whether the caller has named the command; absent if only its tries have this id. */
  readonly isNamed?: boolean;
  /** Whether an earlier try of the command may be stored; absent if none may. */
  readonly mayBeStored?: boolean;
  /** How long the answer may take, in milliseconds. */
  readonly timeout: number;
  /** The actors that wait for the answer, the first one first. */
  readonly chain?: readonly string[];
  /** The W3C trace context of the caller. */
  readonly traceparent?: string;
}

/**
 * Why a host does not answer a request itself: the caller asks again. `moved`: it does not own the actor. `unknown`: the
 * command may have been stored. `definition`: its definition is not the caller's. `shards`: the actor is of another shard,
 * because the cluster has another number of shards than the caller knows.
 */
type Retry = "moved" | "unknown" | "definition" | "shards";

/** An answer as it travels. */
export type WireAnswer =
  | { readonly ok: unknown; readonly isUndefined?: true }
  | { readonly retry: Retry; readonly detail?: string }
  | { readonly busy: { readonly waiting: number; readonly retryAfter: number } }
  | { readonly declared: WireError }
  | { readonly aether: WireError }
  | { readonly failed: { readonly name?: string; readonly message: string; readonly isStored: boolean } }
  /** Nothing was stored for this request; an earlier one with the same id was not looked for. */
  | { readonly refused: { readonly message: string } };

/** An error whose class the caller knows too: the actor's definition declares it, or it is one of the library. */
interface WireError {
  readonly type: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

const decoder = new TextDecoder("utf-8", { fatal: true });
/** The most bytes of an answer as JSON, if the server does not take less. */
const MAX_ANSWER_BYTES = 8 * 1_024 * 1_024;
/** The most bytes of a request besides its command. */
const MAX_ENVELOPE_BYTES = 16 * 1_024;

/** Asks the owner of a shard for no more than an answer. */
export const QUESTION: Uint8Array = utf8('{"served":null}');

/** Whether a message is {@linkcode QUESTION}. */
export function isQuestion(data: Uint8Array): boolean {
  return data.length === QUESTION.length && QUESTION.every((byte, index) => data[index] === byte);
}

/** The actors that are to move to a host. */
interface WirePreload {
  readonly preload: readonly string[];
}

/** Encodes a request or an answer. */
export function encode(message: WireRequest | WirePreload | WireAnswer): Uint8Array {
  return utf8(JSON.stringify(message));
}

/**
 * Decodes a request, frozen as a command of this process is.
 *
 * @returns The request; a text that explains why it is none.
 */
export function decodeRequest(data: Uint8Array): WireRequest | string {
  if (data.length > MAX_COMMAND_BYTES + MAX_ENVELOPE_BYTES) {
    return `the request has ${data.length} bytes, and its command may have ${MAX_COMMAND_BYTES}`;
  }
  const request = parse(data) as Partial<WireRequest> | undefined;
  return isRequest(request) ? request : "the request cannot be read";
}

function isRequest(request: Partial<WireRequest> | undefined): request is WireRequest {
  if (typeof request?.kind !== "string" || !Number.isSafeInteger(request.version)) return false;
  const { actor, timeout, id, isNamed = false, mayBeStored = false, query, timer, chain, traceparent } =
    request;
  if (typeof mayBeStored !== "boolean" || typeof isNamed !== "boolean") return false;
  if (typeof timeout !== "number" || !(timeout > 0 && timeout <= MAX_TIMEOUT)) return false;
  if (timer !== undefined) {
    if (typeof timer?.name !== "string" || !Number.isSafeInteger(timer.at) || id === undefined) return false;
  } else if (query === undefined ? !("command" in request) : typeof query !== "string") return false;
  if (chain !== undefined && !(Array.isArray(chain) && chain.every((name) => typeof name === "string"))) {
    return false;
  }
  if (traceparent !== undefined && !isTraceparent(traceparent)) return false;
  try {
    checkActorId(actor);
    if (id === undefined) return true;
    return commandIdFault(id) === undefined && id.startsWith(TIMER_PREFIX) === (timer !== undefined);
  } catch {
    return false;
  }
}

/** Decodes the ids of actors that are to move to a host; `undefined` if they are none. */
export function decodePreload(data: Uint8Array): readonly string[] | undefined {
  const ids = (parse(data) as Partial<WirePreload> | undefined)?.preload;
  return Array.isArray(ids) && ids.every((id) => actorIdFault(id) === undefined) ? ids : undefined;
}

/** Decodes an answer; `undefined` if it is none. */
export function decodeAnswer(data: Uint8Array): WireAnswer | undefined {
  const answer = parse(data);
  return typeof answer === "object" && answer !== null ? answer as WireAnswer : undefined;
}

function parse(data: Uint8Array): unknown {
  try {
    return freezeJson(JSON.parse(decoder.decode(data)));
  } catch {
    return undefined;
  }
}

/**
 * An answer with a value.
 *
 * @param maxBytes The largest message that the server takes.
 * @param isStored Whether the events of the command are stored, if the value cannot be sent.
 */
export function answerWith(value: unknown, maxBytes: number, isStored: boolean): Uint8Array {
  const limit = Math.min(MAX_ANSWER_BYTES, maxBytes);
  try {
    const answer = encode(
      value === undefined ? { ok: null, isUndefined: true } : { ok: copyJson(value, "state", limit).value },
    );
    if (answer.length <= limit) return answer;
    return unsendable(`it is over ${limit} bytes as JSON`, isStored);
  } catch (error) {
    return unsendable(messageOf(error), isStored);
  }
}

function unsendable(why: string, isStored: boolean): Uint8Array {
  return encode({ failed: { message: `its answer cannot be sent to another process: ${why}`, isStored } });
}

/**
 * An answer with an error.
 *
 * @param maxBytes The largest message that the server takes.
 */
export function answerWithError(error: unknown, definition: AnyActor, maxBytes: number): Uint8Array {
  try {
    const answer = encode(wireError(error, definition));
    if (answer.length <= maxBytes) return answer;
    return unsendable(`the error is over ${maxBytes} bytes as JSON`, false);
  } catch (cause) {
    return unsendable(`the error cannot be read: ${messageOf(cause)}`, false);
  }
}

function wireError(error: unknown, definition: AnyActor): WireAnswer {
  if (error instanceof ActorBusyError) {
    return { busy: { waiting: error.waiting, retryAfter: error.retryAfter } };
  }
  const declared = declaredName(definition, error);
  if (declared !== undefined) return { declared: fieldsOf(declared, error as Error) };
  if (error instanceof ActorFailedError) {
    const { cause, isStored } = error;
    if (!(cause instanceof Error)) return { failed: { message: String(cause), isStored } };
    return { failed: { name: cause.name, message: cause.message, isStored } };
  }
  const type = error instanceof AetherError ? nameOf(error) : undefined;
  if (type !== undefined) return { aether: fieldsOf(type, error as Error) };
  return { refused: { message: error instanceof Error ? `${error.name}: ${error.message}` : String(error) } };
}

/** Whether an answer leaves open what became of an earlier request with the same id. */
export function isOfThisTryOnly(answer: WireAnswer): boolean {
  return "busy" in answer || "refused" in answer || "aether" in answer;
}

/** The name of the library's class that an error is of. */
function nameOf(error: AetherError): string | undefined {
  for (let type = Object.getPrototypeOf(error); type; type = Object.getPrototypeOf(type)) {
    const name = registeredName({ prototype: type });
    if (name !== undefined) return name;
  }
  return undefined;
}

/** An error without its stack and its cause. */
function fieldsOf(type: string, error: Error): WireError {
  const { message, ...fields } = Object.fromEntries(
    Object.entries(error).filter(([, value]) => isJson(value)),
  );
  return { type, message: String(message ?? error.message), fields };
}

function isJson(value: unknown): boolean {
  try {
    copyJson(value, "field", MAX_ANSWER_BYTES);
    return true;
  } catch {
    return false;
  }
}

/** The value that an answer carries: JSON has no `undefined`. */
export function valueOf(
  { ok, isUndefined }: { readonly ok: unknown; readonly isUndefined?: true },
  isCommand: boolean,
): unknown {
  if (isUndefined) return undefined;
  if (!isCommand || typeof ok !== "object" || ok === null || "state" in ok) return ok;
  return { ...ok, state: undefined };
}

/** The error that an answer carries. */
export function errorOf(answer: WireAnswer, definition: AnyActor, actorId: string): unknown {
  if ("busy" in answer) return new ActorBusyError(actorId, answer.busy.waiting, answer.busy.retryAfter);
  if ("declared" in answer) {
    const { type } = answer.declared;
    const declared = Object.hasOwn(definition.errors, type) ? definition.errors[type] : undefined;
    return rebuilt(answer.declared, declared) ?? failed(actorId, answer.declared);
  }
  if ("aether" in answer) {
    return rebuilt(answer.aether, classNamed(answer.aether.type)) ?? failed(actorId, answer.aether);
  }
  if ("failed" in answer) return failed(actorId, answer.failed, answer.failed.isStored);
  if ("refused" in answer) return failed(actorId, answer.refused);
  return failed(actorId, { message: "its host sent an answer that cannot be read" });
}

/** An object of a class with the fields of an error: its constructor is not called. */
function rebuilt(
  { message, fields }: WireError,
  type: { readonly prototype: object } | undefined,
): Error | undefined {
  if (!(type?.prototype instanceof Error)) return undefined;
  const error = Object.create(type.prototype) as Error;
  Error.captureStackTrace(error);
  Object.defineProperty(error, "message", { value: message, configurable: true, writable: true });
  return Object.assign(error, fields);
}

function failed(
  actorId: string,
  { name, message }: { readonly name?: string; readonly message: string },
  isStored = false,
): ActorFailedError {
  const cause = new Error(message);
  if (name !== undefined) {
    Object.defineProperty(cause, "name", { value: name, configurable: true, writable: true });
  }
  return new ActorFailedError(actorId, cause, isStored);
}
