/**
 * Calling actors of other processes: a request goes to the subject of the actor's shard, which the shard's owner listens
 * to. A command always has an id, so that a request without an answer can be sent again: it takes effect once.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { BackendError, ClosedError } from "../errors.ts";
import { PayloadTooLargeError } from "../nats/errors.ts";
import { ConnectionState } from "../nats/connection_state.ts";
import type { NatsConnection } from "../nats/connection.ts";
import { MessageSender } from "../nats/sender.ts";
import { type NoAnswer, ReplyInbox } from "../nats/jetstream/reply_inbox.ts";
import { shardOf } from "../cluster/shard_of.ts";
import { backoff, sleep } from "../sleep.ts";
import { OutcomeUnknownError } from "../store/errors.ts";
import { ActorUnavailableError } from "./errors.ts";
import type { ActorRequest } from "./reference.ts";
import { ShardWaits } from "./shard_waits.ts";
import { infoSubject, nodeSubject, shardSubject } from "./subjects.ts";
import { UnknownCommands } from "./unknown_commands.ts";
import {
  decodeAnswer,
  encode,
  errorOf,
  isOfThisTryOnly,
  QUESTION,
  valueOf,
  type WireAnswer,
  type WireRequest,
} from "./wire.ts";

/**
 * How long another try must have for its answer, in milliseconds: without one it would be unknown what was known before, that
 * nothing is stored. It is three times as long as the slowest answer so far, within these bounds.
 */
const LEAST_TIME = 20;
const MOST_LEAST_TIME = 300;
const TIMES_SLOWEST = 3;
/** How long one request waits for an answer before it is sent again, in milliseconds. */
const ANSWER_TIMEOUT = 2_000;
/** The bounds of the wait before a request is sent again, in milliseconds. */
const FIRST_WAIT = 10;
const LONGEST_WAIT = 250;
/** How long the answer to the question whether a shard is served may take, in milliseconds: then its host is busy. */
const SERVED_TIMEOUT = 100;
/** How often, while a shard has no owner, the cluster is asked for its number of shards, in milliseconds. */
const INFO_INTERVAL = 1_000;

/** Sends requests to the hosts of a cluster. */
export class RemoteCaller {
  readonly #state: ConnectionState;
  readonly #sender: MessageSender;
  readonly #inbox: ReplyInbox;
  readonly #cluster: string;
  readonly #waits: ShardWaits;
  #shardCount: number | undefined;
  #nextInfo = 0;
  #isClosed = false;
  /** The commands whose callers do not know what became of them. */
  readonly unknown: UnknownCommands = new UnknownCommands();

  /** @param shardCount How many shards the cluster has, if it is known: else a host is asked. */
  constructor(connection: NatsConnection, cluster: string, shardCount?: number) {
    this.#state = new ConnectionState(connection);
    this.#sender = new MessageSender(connection);
    this.#inbox = new ReplyInbox(this.#state, ANSWER_TIMEOUT);
    this.#cluster = cluster;
    this.#waits = new ShardWaits(async (shard) => {
      // The calls themselves fail with what the question fails with.
      const answer = await this.#ask(shardSubject(cluster, shard), QUESTION, SERVED_TIMEOUT).catch(() =>
        "denied"
      );
      if (answer === "disconnected") return false;
      if (!isWithoutOwner(answer)) return true;
      if (shardCount === undefined) await this.#askForOtherShards();
      return false;
    });
    this.#shardCount = shardCount;
  }

  /** Ends it: what waits is rejected. */
  close(): void {
    this.#isClosed = true;
    this.#inbox.close();
    this.#waits.endAll();
    this.#state.close();
  }

  /**
   * Sends a request until it is answered or its time is over.
   *
   * @param isOwn Is asked before each try: whether the actor has come to this process meanwhile.
   * @returns The answer; a {@linkcode ComeHere} if `isOwn` returned true.
   */
  async send(request: ActorRequest, isOwn: () => boolean = () => false): Promise<unknown> {
    const { definition, actorId, content, timeout, signal } = request;
    let { mayBeStored = false } = request;
    const deadline = performance.now() + timeout;
    const id = "query" in content ? undefined : request.id ?? crypto.randomUUID();
    let why: ActorUnavailableError | undefined;
    let least = LEAST_TIME;
    for (let attempt = 1;; attempt++) {
      if (isOwn()) return new ComeHere(mayBeStored);
      const left = deadline - performance.now();
      if (left <= 0 || attempt > 1 && id !== undefined && !mayBeStored && left < least) {
        throw mayBeStored ? outcomeUnknown() : why ?? new ActorUnavailableError(actorId, timeout);
      }
      const data = encode(wireRequest(request, id, left, mayBeStored));
      const answer = await abortable(this.#try(actorId, data, Math.min(left, ANSWER_TIMEOUT)), signal)
        .catch((error) => {
          throw mayBeStored && !signal?.aborted ? outcomeUnknown(error) : error;
        });
      if (typeof answer === "object" && "ok" in answer) return valueOf(answer, "command" in content);
      if (typeof answer === "object" && !("retry" in answer)) {
        if (!mayBeStored || !isOfThisTryOnly(answer)) throw errorOf(answer, definition, actorId);
      } else {
        why = unavailable(request, answer) ?? why;
        if (!isRefused(answer)) mayBeStored = id !== undefined;
        if (isOfOtherShard(answer)) this.#shardCount = undefined;
      }
      if (this.#isClosed || answer === "closed") {
        const error = new ClosedError(this.#isClosed ? "host" : "connection");
        throw mayBeStored ? outcomeUnknown(error) : error;
      }
      const rest = Math.max(0, deadline - performance.now());
      if (isRefused(answer)) {
        least = Math.min(MOST_LEAST_TIME, Math.max(least, TIMES_SLOWEST * (left - rest)));
      }
      if (isWithoutOwner(answer) && this.#shardCount !== undefined) {
        await this.#waits.wait(shardOf(actorId, this.#shardCount), rest, isOwn, signal);
      } else await sleep(Math.min(backoff(attempt, FIRST_WAIT, LONGEST_WAIT), rest), signal);
    }
  }

  /** Lets a host read the states of actors that are to move to it. Resolves once it has, or the time is over. */
  async preload(node: string, actors: readonly string[], timeout: number): Promise<void> {
    await this.#ask(nodeSubject(this.#cluster, node), encode({ preload: actors }), timeout);
  }

  async #try(actorId: string, data: Uint8Array, timeout: number): Promise<WireAnswer | NoAnswer> {
    if (this.#shardCount === undefined) {
      const failure = await this.#askForShards(timeout);
      if (failure !== undefined) return failure;
    }
    const shard = shardOf(actorId, this.#shardCount!);
    return await this.#ask(shardSubject(this.#cluster, shard), data, timeout);
  }

  /** Asks a host for the number of shards; returns why it is not known. */
  async #askForShards(timeout: number): Promise<NoAnswer | undefined> {
    const info = await this.#ask(infoSubject(this.#cluster), new Uint8Array(), timeout);
    if (typeof info === "string") return info === "closed" ? info : "no responders"; // no command was sent
    if (!("ok" in info && Number.isSafeInteger(info.ok))) return "no responders";
    this.#shardCount = info.ok as number;
    return undefined;
  }

  /** Lets calls go on that wait for a shard, if the cluster was set up again with another number of shards. */
  async #askForOtherShards(): Promise<void> {
    const before = this.#shardCount;
    if (performance.now() < this.#nextInfo) return;
    this.#nextInfo = performance.now() + INFO_INTERVAL;
    await this.#askForShards(SERVED_TIMEOUT).catch(() => {});
    if (this.#shardCount !== before) this.#waits.endAll();
  }

  #ask(subject: string, data: Uint8Array, timeout: number): Promise<WireAnswer | NoAnswer> {
    return new Promise((resolve, reject) => {
      const { maxPayload } = this.#state;
      if (this.#isClosed || this.#state.isClosed) return resolve("closed");
      if (!this.#state.isConnected) return resolve("no responders");
      if (this.#inbox.failure) return reject(denied(this.#inbox.failure.message));
      if (data.length > maxPayload) {
        return reject(tooLarge(data.length, maxPayload));
      }
      const timer = timeout < ANSWER_TIMEOUT ? setTimeout(() => resolve("timeout"), timeout) : undefined;
      const settle = (answer: WireAnswer | NoAnswer): void => {
        clearTimeout(timer);
        resolve(answer);
      };
      const reply = this.#inbox.expect({
        subject,
        onAnswer(message): boolean {
          settle(decodeAnswer(message.data) ?? "timeout");
          return true;
        },
        onNoAnswer(why, description): void {
          if (why !== "denied") return settle(why);
          clearTimeout(timer);
          reject(denied(description ?? `to publish to "${subject}"`));
        },
      });
      try {
        this.#sender.publish({ subject, data }, reply);
      } catch {
        this.#inbox.withdraw(reply); // the connection is being closed
        settle("closed");
      }
    });
  }
}

function tooLarge(size: number, limit: number): BackendError {
  const cause = new PayloadTooLargeError(size, limit);
  return new BackendError("call", cause.message, { reason: "too-large", cause });
}

/** @param description The text of the server, which names the subject. */
function denied(description: string): BackendError {
  return new BackendError(
    "call",
    `the server denied it: ${description}. Give this user permission to publish to aether.actors.> and to subscribe to ` +
      "its inbox",
    { reason: "denied" },
  );
}

function wireRequest(
  { definition, actorId, content, origin, ...request }: ActorRequest,
  id: string | undefined,
  timeout: number,
  mayBeStored: boolean,
): WireRequest {
  const { chain, traceparent } = origin;
  const isNamed = "command" in content && (request.isNamed ?? request.id !== undefined);
  return {
    kind: definition.name,
    version: definition.version,
    actor: actorId,
    ...content,
    ...(id !== undefined && { id }),
    ...(isNamed && { isNamed }),
    ...(mayBeStored && { mayBeStored }),
    timeout: Math.ceil(timeout),
    ...(chain.length > 0 && { chain }),
    ...(traceparent !== undefined && { traceparent }),
  };
}

/** Whether the process that answered does not own the shard, or none has answered. */
function isWithoutOwner(answer: WireAnswer | string): boolean {
  return typeof answer === "object"
    ? "retry" in answer && answer.retry === "moved"
    : answer === "no responders";
}

/** Whether nothing of the request can have been stored. */
function isRefused(answer: WireAnswer | NoAnswer): boolean {
  // Not if the actor has moved: its former owner and the new one may both have had the request.
  if (typeof answer === "object") {
    return "retry" in answer && (answer.retry === "definition" || answer.retry === "shards");
  }
  return answer === "no responders" || answer === "closed";
}

/** Whether the cluster has another number of shards than is known here. */
function isOfOtherShard(answer: WireAnswer | NoAnswer): boolean {
  return typeof answer === "object" && "retry" in answer && answer.retry === "shards";
}

/** What an answer shows about why the actor is not available. */
function unavailable(
  { actorId, timeout }: ActorRequest,
  answer: WireAnswer | NoAnswer,
): ActorUnavailableError | undefined {
  if (answer === "no responders") return new ActorUnavailableError(actorId, timeout, { reason: "unowned" });
  if (typeof answer !== "object" || !("retry" in answer)) return undefined;
  const { retry, detail } = answer;
  if (retry === "definition") {
    return new ActorUnavailableError(actorId, timeout, { reason: "definition", detail });
  }
  return retry === "moved" ? new ActorUnavailableError(actorId, timeout, { reason: "unowned" }) : undefined;
}

/** The error of a command that may have been stored, and of which nothing was learned in time. */
export function outcomeUnknown(cause?: unknown): OutcomeUnknownError {
  return new OutcomeUnknownError([], 0, { repeatWith: "call", ...(cause !== undefined && { cause }) });
}

/** The actor is in this process now. */
export class ComeHere {
  /** Whether another process may have stored the command. */
  readonly mayBeStored: boolean;

  constructor(mayBeStored: boolean) {
    this.mayBeStored = mayBeStored;
  }
}
