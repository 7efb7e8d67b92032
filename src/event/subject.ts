/**
 * How names become NATS subjects: an encoding that is injective, can be read back, and never yields a wildcard, so
 * that two actors never share events and no input reaches a filter unencoded.
 *
 * @module
 */
import { InvalidArgumentError } from "../errors.ts";
import { escapeLevel } from "../text.ts";

/** The longest actor id, in UTF-8 bytes. Escaped it stays below the server's protocol line of 4,096 bytes. */
export const MAX_ACTOR_ID_BYTES = 512;

/** The longest namespace, in UTF-8 bytes. Escaped it stays below the 255 bytes of a file name, which a stream has. */
export const MAX_NAMESPACE_BYTES = 64;

/** An empty level: a subject cannot hold an empty token, and `=` is always followed by two hex digits otherwise. */
const EMPTY_LEVEL = "=-";

const PLAIN_LEVELS = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;
const ESCAPED_LEVEL = /^(?:[A-Za-z0-9_-]|=[0-9A-F]{2})+$/;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Encodes an actor id. A dot separates levels, so that `order.123` matches `order.>`; every byte outside
 * `[A-Za-z0-9_-]` becomes `=XX`, and an empty level `=-`.
 *
 * @throws {InvalidArgumentError} If the id is empty, too long, or holds a lone surrogate.
 */
export function encodeActorId(actorId: string): string {
  // Most ids need no escape; they are ASCII then, so that their length is their size.
  if (actorId.length <= MAX_ACTOR_ID_BYTES && PLAIN_LEVELS.test(actorId)) return actorId;
  requireName("actorId", actorId, MAX_ACTOR_ID_BYTES);
  return actorId.split(".").map(encodeLevel).join(".");
}

/**
 * Reads an actor id back.
 *
 * @throws {InvalidArgumentError} If {@linkcode encodeActorId} cannot have written it.
 */
export function decodeActorId(encoded: string): string {
  if (encoded.length <= MAX_ACTOR_ID_BYTES && PLAIN_LEVELS.test(encoded)) return encoded;
  let actorId: string | undefined;
  try {
    actorId = encoded.split(".").map(decodeLevel).join(".");
  } catch {
    // not UTF-8, reported below
  }
  // One id has one subject: another spelling of the same bytes is not ours.
  if (actorId === undefined || actorId === "" || encodeActorId(actorId) !== encoded) {
    throw new InvalidArgumentError("subject", `"${encoded}" is not an encoded actor id`);
  }
  return actorId;
}

/**
 * The filter below `base` with the fewest subjects that holds every actor id beginning with `actorPrefix`. A server
 * matches whole levels only: the reader itself compares the last, unfinished level.
 */
export function actorPrefixFilter(base: string, actorPrefix: string): string {
  const finished = actorPrefix.split(".").slice(0, -1);
  const broken = finished.findIndex((level) => !level.isWellFormed()); // begins no actor id at all
  const levels = (broken < 0 ? finished : finished.slice(0, broken)).map(encodeLevel);
  return [base, ...levels, ">"].join(".");
}

/**
 * Encodes a namespace as one token, dots included, which is legal in subjects, stream names and KV keys.
 *
 * @throws {InvalidArgumentError} If the name is empty, too long, or holds a lone surrogate.
 */
export function encodeNamespace(namespace: string): string {
  requireName("namespace", namespace, MAX_NAMESPACE_BYTES);
  return encodeLevel(namespace);
}

/**
 * Encodes any well-formed name as one token: a dot in it does not separate levels.
 *
 * @param name A name that was validated, such as an event's type.
 */
export function encodeToken(name: string): string {
  return encodeLevel(name);
}

/**
 * Checks a subject prefix: one or more plain levels, such as `aether` or `prod.aether`.
 *
 * @throws {InvalidArgumentError} If it is anything else, or longer than 128 characters.
 */
export function requireSubjectPrefix(prefix: string): void {
  if (prefix.length > 128 || !PLAIN_LEVELS.test(prefix)) {
    throw new InvalidArgumentError(
      "prefix",
      `"${prefix}" must be levels of letters, digits, "_" and "-", separated by dots, 128 characters at most`,
    );
  }
}

function requireName(argument: string, name: string, limit: number): void {
  if (name === "") throw new InvalidArgumentError(argument, "must not be empty");
  if (!name.isWellFormed()) {
    throw new InvalidArgumentError(argument, "must be well-formed: a lone surrogate has no bytes of its own");
  }
  const size = name.length > limit ? name.length : encoder.encode(name).length;
  if (size > limit) throw new InvalidArgumentError(argument, `must have at most ${limit} UTF-8 bytes`);
}

function encodeLevel(level: string): string {
  return level === "" ? EMPTY_LEVEL : escapeLevel(level);
}

function decodeLevel(level: string): string {
  if (level === EMPTY_LEVEL) return "";
  if (!ESCAPED_LEVEL.test(level)) throw new TypeError("not an escaped level");
  const bytes: number[] = [];
  for (let index = 0; index < level.length; index++) {
    if (level[index] === "=") {
      bytes.push(parseInt(level.slice(index + 1, index + 3), 16));
      index += 2;
    } else {
      bytes.push(level.charCodeAt(index));
    }
  }
  return decoder.decode(new Uint8Array(bytes));
}
