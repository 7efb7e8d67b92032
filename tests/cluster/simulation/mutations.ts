/**
 * The protocol broken on purpose: each mutation is one edit of the production source. A simulator that does not notice
 * would prove nothing.
 *
 * @module
 */
import { loadSubject, PRODUCTION, type Subject } from "./subject.ts";

/** One edit. */
export interface Edit {
  readonly file: string;
  /** Must occur exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

/** One deliberate defect; more than one edit where the protocol defends twice. */
export interface Mutation extends Edit {
  readonly name: string;
  readonly and?: readonly Edit[];
  /** The first seed to try; it spares the long search for a rare coincidence. @default {1} */
  readonly firstSeed?: number;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "renewal counted from its answer",
    firstSeed: 2_390,
    file: "held_lease.ts",
    find: "this.#confirm({ revision, attempt, sent });\n    } catch (error) {\n      if",
    replace: "this.#confirm({ revision, attempt, sent: now(this.#clock) });\n    } catch (error) {\n      if",
  },
  {
    name: "clock skew not taken off the deadline",
    firstSeed: 190,
    file: "held_lease.ts",
    find: "this.#terms.ttl * (1 - CLOCK_RATE_ALLOWANCE) - this.#terms.maxClockSkew",
    replace: "this.#terms.ttl",
  },
  {
    name: "isHeld left to the timer",
    file: "held_lease.ts",
    find:
      'if (remaining(this.#clock, this.#deadline) > 0) return true;\n    this.#finish("expired");\n    return false;',
    replace: "return true;",
  },
  {
    name: "a renewal without an answer taken for stored",
    file: "held_lease.ts",
    find: "else this.#failure = error;\n      if",
    replace: "else this.#confirm({ revision: this.#revision, attempt, sent });\n      if",
  },
  {
    name: "a lost acquisition counted from the last attempt",
    firstSeed: 540,
    file: "claim.ts",
    find: "const sent = this.#attempts.sentAt(record.attempt);\n          const lease",
    replace: "const sent = now(this.#clock);\n          const lease",
  },
  {
    name: "the record of another taken over",
    file: "claim.ts",
    find: "if (record.id !== id) return undefined;",
    replace: "if (record.id !== id) await this.#withoutConflict(this.#bucket.remove(key, entry.revision));",
  },
  {
    name: "grant before release",
    file: "allocate.ts",
    find: "return node.seen > revokedOver && !releasing(owner).has(shard);",
    replace: "return true;",
  },
  {
    name: "work that goes on after the revocation forgotten",
    file: "allocate.ts",
    find: "return node.seen > revokedOver && !releasing(owner).has(shard);",
    replace: "return node.seen > revokedOver;",
  },
  {
    name: "silence taken for death",
    file: "registration.ts",
    find: "if (alive === undefined || alive.revision <= session) return false;",
    replace: "if (alive === undefined) return true;",
    and: [{ file: "ended_sessions.ts", find: "if (!alive.synced) return;", replace: "return;" }],
  },
  {
    name: "a stale word of an earlier incarnation taken for death",
    file: "registration.ts",
    find: "if (alive === undefined || alive.revision <= session) return false;",
    replace: "if (alive === undefined) return false;",
  },
  {
    name: "a node that an old snapshot left out taken for absent",
    firstSeed: 2_224,
    file: "leadership.ts",
    find: 'const entries = [...view.matching("node.>"), ...leftOut];',
    replace: 'const entries = [...view.matching("node.>")];',
    and: [{
      file: "allocate.ts",
      find: "let mayGrant = knowledge.seen >= genesis;",
      replace: "let mayGrant = true;",
    }],
  },
  {
    name: "a token used again",
    file: "allocate.ts",
    find: "token: revision, revokedOver: 0 };",
    replace: "token: genesis, revokedOver: 0 };",
  },
  {
    name: "leader decides before it has stamped the map",
    file: "leadership.ts",
    find: "assignments: found?.assignments ?? new Array<undefined>(shardCount).fill(undefined),\n        };",
    replace:
      "assignments: found?.assignments ?? new Array<undefined>(shardCount).fill(undefined),\n        };\n" +
      "        if (found !== undefined && entry !== undefined) return { map, revision: entry.revision };",
  },
  {
    name: "map written over whatever is there",
    firstSeed: 180,
    file: "leadership.ts",
    find:
      "const revision = await this.#options.bucket.put(MAP_KEY, encodeShardMap(map), { expected: over });",
    replace: "over = (await this.#options.bucket.get(MAP_KEY))?.revision ?? 0;\n" +
      "      const revision = await this.#options.bucket.put(MAP_KEY, encodeShardMap(map), { expected: over });",
  },
  {
    name: "an older map accepted",
    file: "owned_shards.ts",
    find: "if (revision <= this.#seen || this.#closed) return;",
    replace: "if (this.#closed) return;",
    and: [{
      file: "bucket.ts",
      find: "if (known !== undefined && !supersedes(entry, known)) return false;",
      replace: "",
    }],
  },
  {
    name: "grants of the incarnation before inherited",
    file: "owned_shards.ts",
    find:
      "assignment?.owner.session === this.#session.session && assignment.owner.name === this.#session.name;",
    replace: "assignment?.owner.name === this.#session.name;",
  },
  {
    name: "a bucket that was made lately grants at once",
    file: "claim.ts",
    find: "return Math.max(0, (origin.isFirst ? renewEvery : ttl) * (1 + CLOCK_RATE_ALLOWANCE) - age);",
    replace: "return Math.max(0, 0 * age);",
  },
  {
    name: "a bucket that was made again taken for the first of its name",
    file: "claim.ts",
    find: "(origin.isFirst ? renewEvery : ttl)",
    replace: "renewEvery",
  },
  {
    name: "a lease held beyond its bucket",
    file: "held_lease.ts",
    find: 'if (this.#bucket.origin?.id !== this.#origin) this.#finish("taken");',
    replace: "",
  },
  {
    name: "the number of shards agreed on before the name is taken",
    file: "member.ts",
    find: "await this.#watching.started(signal, this.#clock.monotonic() + WATCH_PATIENCE_MS);",
    replace: "await this.#watching.started(signal, this.#clock.monotonic() + WATCH_PATIENCE_MS);\n" +
      "    if (this.map === undefined) await agreeOnShardCount(this.#bucket, this.options.shardCount);",
    and: [{
      file: "incarnation.ts",
      find: "      await abortable(agreeOnShardCount(bucket, options.shardCount), signal);\n",
      replace: "",
    }, {
      file: "known_cluster.ts",
      find: "map?.assignments.length === this.#shardCount ? map : undefined",
      replace: "map",
    }],
  },
  {
    name: "a shard held beyond the node's lease",
    firstSeed: 160,
    file: "owned_shards.ts",
    find: "return this.#held && this.#lease.isHeld;",
    replace: "return this.#held;",
  },
  {
    name: "a record that cannot be read taken for a free lease",
    file: "claim.ts",
    find: "if (!this.#unreadable.isOver(entry, this.#clock.monotonic(), ttl)) return undefined;",
    replace: "",
  },
  {
    name: "a record that cannot be read taken for the end of a session",
    file: "registration.ts",
    find: "return record === undefined ? alive.value === undefined : record.token !== session;",
    replace: "return record?.token !== session;",
  },
  {
    name: "no wait between the tries of a process whose credentials are refused",
    file: "claim.ts",
    find: ": retry.next());",
    replace: ": 0);",
  },
  {
    name: "a connection that its owner closed taken for an outage",
    file: "claim.ts",
    find: "if (isUnanswered(error)) return error;",
    replace: "return error as BackendError;",
  },
];

/** Loads a copy of the production code with one defect in it. The folder is removed when the copy is disposed of. */
export async function mutate(mutation: Mutation): Promise<{ readonly subject: Subject } & AsyncDisposable> {
  const root = await Deno.makeTempDir({ prefix: "aether-mutation-" });
  const remove = async (): Promise<void> => await Deno.remove(root, { recursive: true });
  try {
    const folder = `${root}/cluster`;
    await Deno.mkdir(`${folder}/jetstream`, { recursive: true });
    const shared = new URL("../", PRODUCTION);
    for await (const { name } of Deno.readDir(shared)) {
      if (name.endsWith(".ts")) await Deno.copyFile(new URL(name, shared), `${root}/${name}`);
    }
    for await (const { name, isFile } of Deno.readDir(PRODUCTION)) {
      if (!isFile) continue;
      const source = await Deno.readTextFile(new URL(name, PRODUCTION));
      const edits = [mutation, ...mutation.and ?? []].filter((edit) => edit.file === name);
      await Deno.writeTextFile(`${folder}/${name}`, edits.reduce(apply, source));
    }
    const subject = await loadSubject(new URL(`file://${folder}/`));
    return { subject, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Makes one edit. */
export function apply(source: string, { file, find, replace }: Edit): string {
  if (source.split(find).length !== 2) throw new Error(`"${find}" is not exactly once in ${file}`);
  return source.replace(find, () => replace);
}
