/**
 * What processes did to a store, and what they were told: written down line by line as it happens, so that also a process
 * that is killed has said all that it had begun.
 *
 * @module
 */
import type { SharedClock } from "../../../support/monotonic.ts";

/** An event that somebody tried to store. */
export interface TriedEvent {
  readonly actorId: string;
  readonly id: string;
  readonly eventType: string;
  readonly data: unknown;
  /** Its version, where the writer chose it. */
  readonly version?: number;
}

/** An event as a store hands it out. */
export interface KnownEvent extends TriedEvent {
  readonly version: number;
  readonly position: string;
}

/** An actor that a save depends on, and the version that it must be at. */
export interface Condition {
  readonly actorId: string;
  readonly version: number;
}

/** Where a damage is, as far as the error names it. */
export interface DamagedPlace {
  readonly actorId?: string | undefined;
  readonly position?: string | undefined;
}

/** Damage that a read reported. */
export interface DamageReport extends DamagedPlace {
  readonly process: string;
  readonly error: string;
  readonly at: number;
}

/** Damage that was done to the files of one server. */
export interface Damage {
  /** An event of the commit that cannot be read any more. */
  readonly id: string;
  readonly from: number;
}

/** What a save was answered. */
export type Answer =
  | { readonly kind: "stored"; readonly events: readonly KnownEvent[] }
  | {
    readonly kind: "conflict";
    readonly actorId: string;
    readonly attemptedVersion: number;
    readonly currentVersion: number;
    readonly sameEvent: boolean;
    /** Whether the actor is one that the save depends on and does not write. */
    readonly isCondition: boolean;
  }
  /** Refused before it was sent, or by the server: nothing is stored. */
  | { readonly kind: "refused"; readonly error: string }
  | {
    readonly kind: "unknown";
    readonly error: string;
    readonly expectedVersion: number;
    /** The damage for which it cannot be settled. */
    readonly damage?: DamagedPlace;
  }
  /** Refused because of damage: nothing is stored. */
  | { readonly kind: "damaged"; readonly error: string; readonly damage: DamagedPlace };

/** A save. */
export interface Attempt {
  readonly process: string;
  /** `append` numbers by itself; `save` has the versions given, of one actor or of several. */
  readonly how: "append" | "save";
  /** What `append` expected. */
  readonly expected: number | "any" | undefined;
  readonly events: readonly TriedEvent[];
  /** What it depends on; the same in each attempt with these events. */
  readonly conditions?: readonly Condition[] | undefined;
  /** How long the store may try, in milliseconds. */
  readonly timeout: number;
  readonly begun: number;
  /** Infinite where the process was killed before the answer came: it may be stored any time later. */
  readonly ended: number;
  readonly answer: Answer | undefined;
}

/** A look at an actor. */
export interface Look {
  readonly process: string;
  readonly actorId: string;
  readonly begun: number;
  readonly ended: number;
  readonly latestVersion: number;
}

/** What a reader was handed out, in its order. */
export interface Reading {
  readonly process: string;
  /** Where it began: behind this position, or at the start. */
  readonly after: string | undefined;
  /** A subscription is to reach the end of the log; a bounded read whatever was there when it began. */
  readonly how: "subscription" | "read";
  /** How many events were asked for at most. */
  readonly limit: number;
  readonly begun: number;
  readonly events: readonly (readonly [position: string, id: string])[];
}

/** A time during which something is true, on the shared clock. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** All that happened, and what is left of it. */
export interface History {
  readonly attempts: readonly Attempt[];
  readonly looks: readonly Look[];
  readonly readings: readonly Reading[];
  /** The log at the end. */
  readonly log: readonly KnownEvent[];
  /** When the servers could not serve somebody. */
  readonly outages: readonly Span[];
  /** When a leader that was cut off or suspended may have answered reads (contract point 6). */
  readonly stale: readonly Span[];
  /** What reads reported as damaged. */
  readonly reports?: readonly DamageReport[];
  /** What was damaged. */
  readonly damaged?: readonly Damage[];
}

/** A save as it is called. */
export type Call = Pick<Attempt, "how" | "expected" | "events" | "conditions" | "timeout">;

type Line =
  | Call & { readonly begin: number; readonly at: number }
  | { readonly end: number; readonly at: number; readonly answer: Answer }
  | { readonly look: Omit<Look, "process"> }
  | { readonly damage: Omit<DamageReport, "process"> }
  | { readonly warning: string }
  | { readonly reading: Omit<Reading, "process" | "events">; readonly events?: Reading["events"] }
  | { readonly event: readonly [string, string] };

/** The book that one process keeps. */
export class Journal {
  readonly #file: Deno.FsFile;
  readonly #clock: SharedClock;
  #operations = 0;

  constructor(path: string, clock: SharedClock) {
    this.#file = Deno.openSync(path, { create: true, append: true });
    this.#clock = clock;
  }

  /** The time on the clock that all processes share, in milliseconds. */
  now(): number {
    return this.#clock.now();
  }

  /** A save is about to be called. The answer is the number to end it with. */
  begin(attempt: Call): number {
    const begin = ++this.#operations;
    this.#write({ begin, at: this.now(), ...attempt });
    return begin;
  }

  /** A save was answered. */
  end(operation: number, answer: Answer): void {
    this.#write({ end: operation, at: this.now(), answer });
  }

  /** An actor was looked at. */
  look(look: Omit<Look, "process">): void {
    this.#write({ look });
  }

  /** A read reported damage. */
  damage({ actorId, position, message: error }: DamagedPlace & { readonly message: string }): void {
    this.#write({ damage: { actorId, position, error, at: this.now() } });
  }

  /** A store warned of something. */
  warning(code: string): void {
    this.#write({ warning: code });
  }

  /** A reader begins; what it is handed out follows, or stands in `events` already. */
  reading(reading: Omit<Reading, "process" | "events">, events?: Reading["events"]): void {
    this.#write({ reading, ...(events ? { events } : {}) });
  }

  /** A reader was handed out an event. */
  event(position: string, id: string): void {
    this.#write({ event: [position, id] });
  }

  close(): void {
    this.#file.close();
  }

  #write(line: Line): void {
    const bytes = new TextEncoder().encode(JSON.stringify(line) + "\n");
    for (let written = 0; written < bytes.length;) {
      written += this.#file.writeSync(bytes.subarray(written));
    }
  }
}

/** The lines of a journal. The last one of a process that was killed may be incomplete. */
export function readLines(path: string): Line[] {
  return Deno.readTextFileSync(path).split("\n").slice(0, -1).map((line) => JSON.parse(line) as Line);
}

/** Reads the journals of a folder: files named `process.incarnation.journal`. */
export function readJournals(
  folder: string,
): Required<Pick<History, "attempts" | "looks" | "readings" | "reports">> & {
  readonly warnings: readonly string[];
} {
  const attempts: Attempt[] = [];
  const looks: Look[] = [];
  const readings: Reading[] = [];
  const reports: DamageReport[] = [];
  const warnings: string[] = [];
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) =>
    name.endsWith(".journal")
  );
  for (const name of names.sort()) {
    const process = name.slice(0, -".journal".length);
    const open = new Map<number, Attempt>();
    let events: (readonly [string, string])[] = [];
    for (const line of readLines(`${folder}/${name}`)) {
      if ("begin" in line) {
        const { begin, at, ...attempt } = line;
        open.set(begin, { process, ...attempt, begun: at, ended: Infinity, answer: undefined });
      } else if ("end" in line) {
        attempts.push({ ...open.get(line.end)!, ended: line.at, answer: line.answer });
        open.delete(line.end);
      } else if ("look" in line) looks.push({ process, ...line.look });
      else if ("warning" in line) warnings.push(line.warning);
      else if ("damage" in line) reports.push({ process, ...line.damage });
      else if ("reading" in line) {
        events = [...line.events ?? []];
        readings.push({ process, ...line.reading, events });
      } else events.push(line.event);
    }
    attempts.push(...open.values());
  }
  return { attempts, looks, readings, reports, warnings };
}
