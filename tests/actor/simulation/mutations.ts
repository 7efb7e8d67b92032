/**
 * Hosts and clients broken on purpose: each mutation is an edit of the production source. A simulator that does not notice
 * would prove nothing.
 *
 * @module
 */
import { apply, type Mutation } from "../../cluster/simulation/mutations.ts";
import { loadSubject, PRODUCTION, type Subject } from "./subject.ts";

/** A defect, and the promise that it breaks. */
export interface ActorMutation extends Mutation {
  /** What the simulator reports. */
  readonly breaks: RegExp;
}

const REMOVE = "";

export const MUTATIONS: readonly ActorMutation[] = [
  {
    name: "an answer before the commit",
    breaks: /was answered with (version|a state)/,
    file: "active_actor.ts",
    find: "    const stored = await this.#commits.store(group, current.version);\n",
    replace: "    for (const { call, events } of group) {\n" +
      "      call.resolve({ version: current.version + events.length, state: current.state });\n    }\n" +
      "    const stored = await this.#commits.store(group, current.version);\n",
  },
  {
    name: "no fence",
    breaks: /stored .* under undefined/,
    file: "commit.ts",
    find: "owner ? { expectedVersion, fencingToken: owner.fencingToken } : { expectedVersion }",
    replace: "owner ? { expectedVersion } : { expectedVersion }",
  },
  {
    name: "ids forgotten at a snapshot",
    firstSeed: 3,
    breaks: /took effect twice/,
    file: "command_ids.ts",
    find: "this.#unread = snapshotVersion;",
    replace: "this.#unread = 0 * snapshotVersion;",
  },
  {
    name: "a batch stored again after a conflict, as it was decided",
    firstSeed: 9,
    breaks: /was decided on version/,
    file: "commit.ts",
    find: "    if (error instanceof VersionConflictError && this.#conflicts++ < MAX_CONFLICTS) {\n",
    replace: "    if (error instanceof VersionConflictError && this.#conflicts < MAX_CONFLICTS) {\n" +
      "      this.#conflicts++;\n" +
      "      return await this.store(group, (error as VersionConflictError).currentVersion);\n",
  },
  {
    name: "isHeld not asked before the decision",
    breaks: /(decided|answered for) .* without owning/,
    file: "active_actor.ts",
    find: "    this.#ownership.assertHeld();\n    const group",
    replace: "    const group",
  },
  {
    name: "isHeld not asked before the answer",
    breaks: /answered for .* without owning/,
    file: "active_actor.ts",
    find: "if (this.#ownership.isLost) { for (const { call } of group) call.reject(new MovedError(true)); }",
    replace: REMOVE,
  },
  {
    name: "isHeld not asked before a repeated command is answered",
    firstSeed: 10,
    breaks: /answered for .* without owning/,
    file: "active_actor.ts",
    find: "if (this.#ownership.isLost) throw new MovedError(true);",
    replace: REMOVE,
  },
  {
    name: "a mailbox out of order",
    breaks: /which came first/,
    file: "active_actor.ts",
    find: "    this.#queue.push(call);\n",
    replace: "    this.#queue.unshift(call);\n",
  },
  {
    name: "a repeated command decided again",
    breaks: /took effect twice/,
    file: "command_ids.ts",
    find: "return this.#versions.get(firstEventId(commandId));",
    replace: "return this.#versions.get(commandId);",
  },
  {
    name: "the ids of one's own commits not noted",
    breaks: /took effect twice/,
    file: "active_actor.ts",
    find: "    for (const event of stored) this.#history.ids.note(event);\n",
    replace: REMOVE,
  },
  {
    name: "passivation that loses a queued command",
    firstSeed: 16,
    breaks: /unexpected error: (ActorUnavailable|OutcomeUnknown)Error/,
    file: "active_actors.ts",
    find: "    if (actor.isBusy) return;\n",
    replace: "    if (actor.isBusy) return void actor.drop();\n",
    and: [{
      file: "active_actor.ts",
      find: "  /** Waits until all calls are answered, and keeps",
      replace:
        "  drop(): void { this.#queue.length = 0; }\n\n  /** Waits until all calls are answered, and keeps",
    }],
  },
  {
    name: "an actor that is released before its first call",
    firstSeed: 25,
    breaks: /which came first|was seen at/,
    file: "active_actors.ts",
    find: "    this.#active.set(actorId, actor);\n",
    replace: "    this.#active.set(actorId, actor);\n" +
      "    if (this.#active.size > this.#setup.maxActive) this.#releaseSurplus();\n",
  },
  {
    name: "the state of an earlier ownership used again",
    breaks: /decided .* without owning|was seen at|without an answer|no end after/,
    file: "active_actors.ts",
    find: "if (!actor || actor.owner !== owner) {",
    replace: "if (!actor) {",
    and: [{
      file: "active_actors.ts",
      find: "      if (own.length === 0) return;\n",
      replace:
        "      await Promise.all(own.map((actor) => actor.passivate()));\n      if (own.length >= 0) return;\n",
    }],
  },
  {
    name: "a commit of unknown outcome reported as not stored",
    breaks: /its caller (was|is) told/,
    file: "commit.ts",
    find: "return await this.#learn(group, expectedVersion, error);",
    replace: 'return await this.#refused(group, new BackendError("append", "no answer"));',
  },
  {
    name: "a full mailbox taken for the fate of an earlier try",
    firstSeed: 24,
    breaks: /its caller (was|is) told/,
    file: "wire.ts",
    find: 'return "busy" in answer || "refused" in answer || "aether" in answer;',
    replace: "return false;",
  },
  {
    name: "a try at another process forgotten when the actor comes here",
    breaks: /its caller (was|is) told/,
    file: "host.ts",
    find: "mayBeStored = answer.mayBeStored;",
    replace: REMOVE,
  },
  {
    name: "a command of two tries under two ids",
    breaks: /took effect twice/,
    file: "remote.ts",
    find: "const data = encode(wireRequest(request, id, left, mayBeStored));",
    replace: "const data = encode(wireRequest(request, id && `${id}.${attempt}`, left, mayBeStored));",
  },
  {
    name: "a timer fired by a deposed host",
    breaks: /(decided|answered for) .* without owning/,
    file: "active_actor.ts",
    find: "    this.#ownership.assertHeld();\n    const group",
    replace: '    if (!("timer" in this.#queue[0]!)) this.#ownership.assertHeld();\n    const group',
  },
  {
    name: "a timer fired before its time",
    breaks: /fired at .*, and is due at/,
    file: "decision.ts",
    find: 'at > now ? "early"',
    replace: 'at > now + 500 ? "early"',
  },
  {
    name: "a timer fired that the state does not name any more",
    breaks: /had no such timer/,
    file: "decision.ts",
    find: '  return call.outcome === "fired" ? timer : undefined;',
    replace: '  if (call.outcome === "dropped" && timer) call.outcome = "fired";\n' +
      "  const known = timer as unknown as { command: { actor: string; call: string } } | undefined;\n" +
      '  const old = { ...known?.command, call: "timer:old" };\n' +
      '  return call.outcome !== "fired" ? undefined : timer?.at !== at ? { command: { ...old, parts: 1 } } : timer;',
  },
  {
    name: "a command called again refused while the commit of an earlier owner is on its way",
    firstSeed: 50,
    breaks: /took effect after its caller was told/,
    file: "active_actor.ts",
    find: "await this.#fence();",
    replace: "this.#ownership.noteStored();",
  },
  {
    name: "what came since an actor was read early not read",
    firstSeed: 23,
    breaks: /was seen at/,
    file: "history.ts",
    find: "return preloaded ? await this.loadNew(preloaded) : await this.#loadAll();",
    replace: "return preloaded ?? await this.#loadAll();",
    and: [
      // More comes meanwhile than in a short move, and there is room for each actor.
      {
        file: "planned_moves.ts",
        find: "MAX_PRELOAD_TIME), signal).catch(() => {});\n",
        replace: "MAX_PRELOAD_TIME), signal).catch(() => {});\n" +
          "    await new Promise((resolve) => setTimeout(resolve, 500));\n",
      },
      { file: "active_actors.ts", find: "this.#inMemory < this.#setup.maxActive &&", replace: REMOVE },
    ],
  },
  {
    name: "the second command of a commit decided on the state before the first",
    breaks: /was decided on version/,
    file: "active_actor.ts",
    find: "const decided = decide(this.#definition, call, folded.state",
    replace: "const decided = decide(this.#definition, call, state",
  },
];

/** Loads a copy of the production code with one defect in it. The folder is removed when the copy is disposed of. */
export async function mutate(mutation: Mutation): Promise<{ readonly subject: Subject } & AsyncDisposable> {
  const folder = await Deno.makeTempDir({ prefix: "aether-mutation-" });
  const remove = async (): Promise<void> => await Deno.remove(folder, { recursive: true });
  try {
    for await (const { name } of Deno.readDir(PRODUCTION)) {
      if (!name.endsWith(".ts")) continue;
      const source = await Deno.readTextFile(new URL(name, PRODUCTION));
      const edits = [mutation, ...mutation.and ?? []].filter((edit) => edit.file === name);
      // What the folder imports from others stays the production code.
      const broken = edits.reduce(apply, source).replaceAll(
        'from "../',
        `from "${new URL("../", PRODUCTION).href}`,
      );
      await Deno.writeTextFile(`${folder}/${name}`, broken);
    }
    return { subject: await loadSubject(new URL(`file://${folder}/`)), [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}
