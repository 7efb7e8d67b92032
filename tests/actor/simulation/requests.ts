/**
 * The requests that went over the network.
 *
 * @module
 */
import type { Process } from "../../cluster/simulation/process.ts";
import type { Invariants } from "./invariants.ts";
import type { Command } from "./ledger.ts";
import type { Listener } from "./nats.ts";

interface Sent {
  tries: number;
  readonly arrivals: { readonly process: Process; readonly place: number }[];
}

const decoder = new TextDecoder();

/** Follows each request from its client to its host and back. */
export class Requests implements Listener {
  readonly #invariants: Invariants;
  readonly #note: (text: string) => void;
  readonly #actors = new Map<string, string>();
  readonly #sent = new Map<string, Sent>();
  #arrivals = 0;

  /** @param note Writes down what happens. */
  constructor(invariants: Invariants, note: (text: string) => void) {
    this.#invariants = invariants;
    this.#note = note;
  }

  sent(_process: Process, _subject: string, data: Uint8Array, reply: string): void {
    const request = parse(data);
    if (!request) return;
    this.#actors.set(reply, request.actor);
    if (request.command) this.#of(request.command.call).tries++;
  }

  arrived(process: Process, _subject: string, data: Uint8Array): void {
    const call = parse(data)?.command?.call;
    if (call === undefined) return;
    this.#note(`${process.name}: ${call} has arrived`);
    this.#of(call).arrivals.push({ process, place: this.#arrivals++ });
  }

  mayArriveLate(data: Uint8Array): boolean {
    const command = parse(data)?.command;
    // What is refused stores nothing: a repetition is decided again.
    return command !== undefined && !command.mayBeRefused && !this.#invariants.isWithoutEffect(command.call);
  }

  answered(process: Process, reply: string, data: Uint8Array): void {
    const actor = this.#actors.get(reply);
    const answer = JSON.parse(decoder.decode(data));
    if (actor !== undefined && ("ok" in answer || "declared" in answer)) {
      this.#invariants.answers(process, actor);
    }
  }

  #of(call: string): Sent {
    let sent = this.#sent.get(call);
    if (!sent) this.#sent.set(call, sent = { tries: 0, arrivals: [] });
    return sent;
  }

  /** A client calls again. */
  repeated(call: string): void {
    this.#of(call).tries = Infinity;
  }

  /** Whether a call was never sent to another process: its own one has answered it. */
  isLocal(call: string): boolean {
    return !this.#sent.has(call);
  }

  /** Whether two calls of one client arrived once each at the host that has stored them, in this order. */
  cameInOrder(first: string, second: string): boolean {
    const process = this.#invariants.storedBy(first);
    if (!process || process !== this.#invariants.storedBy(second)) return false;
    if (this.isLocal(first) && this.isLocal(second)) return true;
    const [a, b] = [this.#of(first), this.#of(second)];
    return a.tries === 1 && b.tries === 1 && a.arrivals.length === 1 && b.arrivals.length === 1 &&
      a.arrivals[0]!.process === process && b.arrivals[0]!.process === process &&
      a.arrivals[0]!.place < b.arrivals[0]!.place;
  }
}

function parse(data: Uint8Array): { readonly actor: string; readonly command?: Command } | undefined {
  const request = data.length === 0 ? undefined : JSON.parse(decoder.decode(data));
  return request?.actor === undefined ? undefined : request;
}
