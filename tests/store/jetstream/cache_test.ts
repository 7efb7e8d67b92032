/** A cache of heads that holds less than what is under way. */

import assert from "node:assert/strict";
import { type EventInput, JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { startNatsServer } from "../../support/nats_server.ts";

Deno.test("commits over more actors than the cache holds are stored, also many at once", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url, { cachedActors: 1 });
  const actors = ["a", "b", "c", "d", "e", "f"];
  for (let round = 0; round < 10; round++) {
    const batch: EventInput[] = actors.map((actorId) => ({
      actorId,
      version: round * 2 + 1,
      eventType: "Happened",
      data: round,
    }));
    const others = actors.map((_, index) =>
      store.append(`other-${index}`, [{ eventType: "Happened", data: round }], { expectedVersion: "any" })
    );
    await Promise.all([
      store.saveEvents(batch),
      ...others,
      ...actors.map((id) => store.getLatestVersion(id)),
    ]);
    await Promise.all(
      actors.map((actorId) =>
        store.append(actorId, [{ eventType: "Happened", data: round }], { expectedVersion: round * 2 + 1 })
      ),
    );
  }
  for (const actorId of actors) assert.equal(await store.getLatestVersion(actorId), 20);
  assert.equal((await Array.fromAsync(store.readAll())).length, 10 * 3 * actors.length);
  assert.equal((await store.verify()).ok, true);
});
