import assert from "node:assert/strict";
import { VersionContinuity } from "../../src/store/continuity.ts";
import { RecentMap } from "../../src/store/recent_map.ts";
import type { StoredEvent } from "../../src/event/types.ts";

Deno.test("RecentMap keeps what was used last, at least as much as it was asked and at most twice as much", () => {
  const map = new RecentMap<number>(100);
  for (let index = 0; index < 200; index++) map.set(`key-${index}`, index);
  assert.equal(map.hasForgotten, false);
  assert.equal(map.get("key-0"), 0); // used again
  for (let index = 200; index < 299; index++) map.set(`key-${index}`, index);
  assert.equal(map.hasForgotten, true);
  assert.equal(map.get("key-0"), 0);
  assert.equal(map.get("key-1"), undefined);
  let kept = 0;
  for (let index = 0; index < 299; index++) if (map.get(`key-${index}`) !== undefined) kept++;
  assert(kept >= 100 && kept <= 200, String(kept));
});

/** A commit of one event. */
const commit = (actorId: string, version: number, isBefore = false) => ({
  commitId: "",
  actorId,
  previousVersion: version - 1,
  fence: 0,
  isBefore,
  events: [{ version, position: `p${version}` } as StoredEvent],
});

Deno.test("LogChains misses a commit that a read has not had, from the start, behind a position, and unless it has forgotten", () => {
  const whole = new VersionContinuity(undefined);
  assert.equal(whole.accept(commit("a", 1)), undefined);
  assert.equal(whole.accept(commit("a", 2)), undefined);
  assert.match(String(whole.accept(commit("a", 4))), /version 3 is missing/);
  assert.match(String(whole.accept(commit("b", 3))), /versions 1 to 2 are missing/);
  const resumed = new VersionContinuity<ReturnType<typeof commit>>(({ isBefore }) => isBefore);
  assert.equal(resumed.accept(commit("a", 3, true)), undefined);
  assert.match(String(resumed.accept(commit("b", 3))), /version 2 is missing/);
  assert.equal(resumed.accept(commit("c", 1)), undefined);
  for (let index = 0; index < 200_001; index++) whole.accept(commit(`other-${index}`, 1));
  assert.equal(whole.accept(commit("a", 5)), "forgotten");
  assert.equal(whole.accept(commit("d", 1)), undefined);
});
