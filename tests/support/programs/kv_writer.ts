/**
 * A process that appends to a database file until it is killed, and says what was acknowledged.
 *
 * Arguments: the file, the writer's name, the number of actors, and how it appends: `own` (its own actors, several
 * events and actors a commit) or `shared` (the actors of all, one version after the other).
 *
 * @module
 */

import { DenoKvEventStore, VersionConflictError } from "../../../mod.ts";

const [file, writer, actors, mode] = Deno.args as [string, string, string, "own" | "shared"];
const encoder = new TextEncoder();

/** Acknowledgements go out at once: what is buffered dies with the process. */
function say(line: string): void {
  Deno.stdout.writeSync(encoder.encode(line + "\n"));
}

await using store = await DenoKvEventStore.open(file);

/** Two events each of two actors in one commit, and large ones now and then. */
async function own(index: number): Promise<void> {
  const actorIds = [`${writer}-${index}-left`, `${writer}-${index}-right`];
  let version = await store.getLatestVersion(actorIds[0]!);
  for (;; version += 2) {
    const note = version % 10 === 0 ? "x".repeat(100_000) : "";
    const stored = await store.saveEvents(actorIds.flatMap((actorId) => [
      { actorId, version: version + 1, eventType: "First", data: { writer, note } },
      { actorId, version: version + 2, eventType: "Second", data: { writer } },
    ]));
    say(JSON.stringify(stored.map(({ actorId, version, id }) => [actorId, version, id])));
  }
}

/** Appends to an actor of all writers at the version it is at, and loses now and then. */
async function shared(index: number): Promise<void> {
  const actorId = `shared-${index}`;
  let version = await store.getLatestVersion(actorId);
  for (;;) {
    try {
      const event = { eventType: "Written", data: { writer } };
      const [stored] = await store.append(actorId, [event], { expectedVersion: version });
      version = stored!.version;
      say(JSON.stringify([[actorId, version, stored!.id]]));
    } catch (error) {
      if (!(error instanceof VersionConflictError)) throw error;
      version = error.currentVersion;
    }
  }
}

await Promise.all(
  Array.from({ length: Number(actors) }, (_, index) => mode === "own" ? own(index) : shared(index)),
);
