/**
 * Requests and answers as messages.
 *
 * @module
 */

import { copyJson, freezeJson } from "../event/json.ts";
import { utf8 } from "../text.ts";
import type { AnyActor } from "./definition.ts";
import type { TimerReference } from "./timer.ts";
import { ActorBusyError, ActorFailedError } from "./errors.ts";

/** A request as it travels. */
export interface WireRequest {
  /** The name of the actor's kind. */
  readonly kind: string;
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
  /** How long the answer may take, in milliseconds. */
  readonly timeout: number;
}

/** Why a host does not answer a request itself: the caller asks again. */
export type Retry = "moved" | "unknown";

/** An answer as it travels. */
export type WireAnswer =
  | { readonly ok: unknown }
  | { readonly retry: Retry }
  | { readonly busy: { readonly waiting: number; readonly retryAfter: number } }
  | { readonly declared: DeclaredError }
  | { readonly failed: { readonly message: string; readonly isStored: boolean } }
  /** Nothing was stored for this request; an earlier one with the same id was not looked for. */
  | { readonly refused: { readonly message: string } };

/** An error whose class the actor's definition declares. */
interface DeclaredError {
  readonly type: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

const decoder = new TextDecoder("utf-8", { fatal: true });
/** The most bytes of an answer as JSON, if the server does not take less. */
const MAX_ANSWER_BYTES = 8 * 1_024 * 1_024;

/** Encodes a request or an answer. */
export function encode(message: WireRequest | WireAnswer): Uint8Array {
  return utf8(JSON.stringify(message));
}

/** The longest time that a request may ask for, in milliseconds. */
const MAX_TIMEOUT = 24 * 60 * 60 * 1_000;

/** Decodes a request, frozen as a command of this process is; `undefined` if it is none. */
export function decodeRequest(data: Uint8Array): WireRequest | undefined {
  const request = parse(data) as Partial<WireRequest> | undefined;
  if (typeof request?.kind !== "string" || typeof request.actor !== "string") return undefined;
  const { timeout, id, query, timer } = request;
  if (typeof timeout !== "number" || !(timeout > 0 && timeout <= MAX_TIMEOUT)) return undefined;
  if (id !== undefined && typeof id !== "string") return undefined;
  if (timer !== undefined) {
    const isSound = typeof timer?.name === "string" && Number.isSafeInteger(timer.at) && id !== undefined;
    return isSound ? request as WireRequest : undefined;
  }
  if (query === undefined ? !("command" in request) : typeof query !== "string") return undefined;
  return request as WireRequest;
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
 */
export function answerWith(value: unknown, maxBytes: number): Uint8Array {
  const limit = Math.min(MAX_ANSWER_BYTES, maxBytes);
  try {
    const answer = encode({ ok: value === undefined ? null : copyJson(value, "state", limit).value });
    if (answer.length <= limit) return answer;
    return unsendable(`it is over ${limit} bytes as JSON`);
  } catch (error) {
    return unsendable(error instanceof Error ? error.message : String(error));
  }
}

function unsendable(why: string): Uint8Array {
  const message = `its answer cannot be sent to another process: ${why}`;
  return encode({ failed: { message, isStored: true } });
}

/** An answer with an error. */
export function answerWithError(error: unknown, definition: AnyActor): Uint8Array {
  if (error instanceof ActorBusyError) {
    return encode({ busy: { waiting: error.waiting, retryAfter: error.retryAfter } });
  }
  for (const [type, declared] of Object.entries(definition.errors)) {
    if (!(error instanceof declared)) continue;
    const { message, ...fields } = Object.fromEntries(
      Object.entries(error).filter(([, value]) => isJson(value)),
    );
    return encode({ declared: { type, message: String(message ?? error.message), fields } });
  }
  if (error instanceof ActorFailedError) {
    const { cause, isStored } = error;
    return encode({ failed: { message: cause instanceof Error ? cause.message : String(cause), isStored } });
  }
  return encode({
    refused: { message: error instanceof Error ? `${error.name}: ${error.message}` : String(error) },
  });
}

/** Whether an answer leaves open what became of an earlier request with the same id. */
export function isOfThisTryOnly(answer: WireAnswer): boolean {
  return "busy" in answer || "refused" in answer;
}

function isJson(value: unknown): boolean {
  try {
    copyJson(value, "field", MAX_ANSWER_BYTES);
    return true;
  } catch {
    return false;
  }
}

/** The error that an answer carries. */
export function errorOf(answer: WireAnswer, definition: AnyActor, actorId: string): unknown {
  if ("busy" in answer) return new ActorBusyError(actorId, answer.busy.waiting, answer.busy.retryAfter);
  if ("declared" in answer) {
    const { type, message, fields } = answer.declared;
    const declared = Object.hasOwn(definition.errors, type) ? definition.errors[type] : undefined;
    if (!declared) return new ActorFailedError(actorId, new Error(message));
    const error = Object.create(declared.prototype) as Error;
    Error.captureStackTrace(error);
    Object.defineProperty(error, "message", { value: message, configurable: true, writable: true });
    return Object.assign(error, fields);
  }
  if ("failed" in answer) {
    return new ActorFailedError(actorId, new Error(answer.failed.message), answer.failed.isStored);
  }
  if ("refused" in answer) return new ActorFailedError(actorId, new Error(answer.refused.message));
  return new ActorFailedError(actorId, new Error("its host sent an answer that cannot be read"));
}
