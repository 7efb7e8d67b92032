import assert from "node:assert/strict";
import { NEW_HEAD } from "../../../src/store/jetstream/write/head.ts";
import { KnownActors } from "../../../src/store/jetstream/write/known_actors.ts";
import { Write } from "../../../src/store/jetstream/write/write.ts";
import { Layout } from "../../../src/store/jetstream/format/layout.ts";
import { Commit, CommitPart, NO_CONDITIONS } from "../../../src/store/commit.ts";

/** A write of one event of each actor. */
function writeTo(...actorIds: string[]): Write {
  const parts = actorIds.map((actorId) => new CommitPart(actorId, [], "any"));
  const layout = new Layout("aether", "test", "0123456789ab");
  const commit = new Commit(parts, undefined, false, undefined, NO_CONDITIONS);
  const write = new Write("id", commit, actorIds.map(() => "[]"), layout, Infinity, () => {});
  write.answer.catch(() => {});
  return write;
}

function see(actors: KnownActors, actorId: string): void {
  actors.hold(actorId).head = NEW_HEAD;
}

function kept(actors: KnownActors): string[] {
  return Array.from(actors.all(), ({ actorId }) => actorId);
}

Deno.test("KnownActors keeps at least as many as its capacity, and at most twice as many", () => {
  for (const size of [1, 2, 7, 100]) {
    const actors = new KnownActors(size);
    for (let number = 0; number < 10 * size; number++) {
      see(actors, `${number}`);
      const names = kept(actors);
      assert(names.length <= 2 * size, `${names.length} of ${size}`);
      assert.equal(new Set(names).size, names.length);
      for (let back = 0; back < Math.min(size, number + 1); back++) {
        assert(actors.get(`${number - back}`)?.head);
      }
    }
    assert.equal(actors.get("0"), undefined);
  }
});

Deno.test("KnownActors keeps an actor that is used again", () => {
  const actors = new KnownActors(10);
  see(actors, "often");
  const { head } = actors.get("often")!;
  for (let number = 0; number < 1_000; number++) {
    see(actors, `${number}`);
    if (number % 9 === 0) assert.equal(actors.hold("often").head, head);
  }
  assert.equal(actors.get("often")?.head, head);
});

Deno.test("KnownActors keeps every actor that has a write in its queue", () => {
  const actors = new KnownActors(3);
  const write = writeTo(...Array.from({ length: 500 }, (_, number) => `busy-${number}`));
  assert(actors.enter(write));
  const busy = write.parts.map(({ actor }) => actor!);
  for (let number = 0; number < 2_000; number++) see(actors, `${number}`);
  for (const actor of busy) {
    assert.equal(actors.hold(actor.actorId), actor); // with another one, two would write at once
  }
  assert.deepEqual(actors.leave(write), []);
  for (const actor of busy) assert.equal(actors.get(actor.actorId), undefined);
  for (let number = 0; number < 2_000; number++) see(actors, `${number}`);
  assert(kept(actors).length <= 6, `${kept(actors).length}`);
});

Deno.test("KnownActors lets the writes of an actor begin one after another, each once all its actors are free", () => {
  const actors = new KnownActors(3);
  const [first, second, third] = [writeTo("a"), writeTo("b"), writeTo("a", "b")];
  assert(actors.enter(first) && actors.enter(second));
  assert(!actors.enter(third));
  assert.deepEqual(actors.leave(first), []);
  assert.deepEqual(actors.leave(second), [third]);
  assert.deepEqual(actors.leave(third), []);
});
