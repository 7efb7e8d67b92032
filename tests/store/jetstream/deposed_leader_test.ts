/** A leader that is cut off answers reads until it notices: what it does not know is no damage. */

import assert from "node:assert/strict";
import { JetStreamEventStore, OutcomeUnknownError } from "@flowmade-one/aether/jetstream";
import { startNatsCluster } from "../../support/nats_server.ts";
import { startProxy } from "../../support/proxy.ts";
import { Pulse } from "../../support/pulse.ts";
import { client, sleep, text, until } from "./support.ts";

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

Deno.test("what a deposed leader does not know is neither damage nor a wrong position, and is read when it has rejoined", async () => {
  await using cluster = await startNatsCluster(3, { isolable: true });
  const options = { replicas: 3, readTimeout: 60_000 };
  {
    await using first = await JetStreamEventStore.open(cluster.urls, options);
    await first.append("order", [event(1)], { expectedVersion: 0 });
  }
  const leader = await cluster.streamLeader("aether_default");
  const other = cluster.servers.find((server) => server !== leader);
  assert(leader && other);
  await using toOther = startProxy(other.url);
  await using toLeader = startProxy(leader.url);
  await using alone = await JetStreamEventStore.open(leader.url, options);
  await toLeader.cut();
  const connect = { client: { reconnectTimeWait: 50 } };
  const urls = [toOther.url, toLeader.url];
  await using store = await JetStreamEventStore.open(urls, { ...options, answerTimeout: 1_000, connect });
  await cluster.isolate(leader);
  // The others elect another leader, and take this.
  const [saved] = await store.append("order", [event(2)], { expectedVersion: 1 });
  // The store comes to the old one, which knows nothing of that, and neither of being none any more.
  toLeader.resume();
  await toOther.cut();
  const reads = Promise.all([
    store.getLatestVersion("order"),
    store.getEvents("order").then((events) => events.map(({ data }) => data)),
    store.append("order", [event(3)], { expectedVersion: 2 }).then(([saved]) => saved!.version),
    store.getLastPosition().then((position) => position! >= saved!.position),
    // A checkpoint that another process has come to.
    Array.fromAsync(alone.readAll({ after: saved!.position, limit: 1 })).then((events) => events.length <= 1),
  ]);
  reads.catch(() => {}); // awaited below
  await sleep(1_500);
  cluster.rejoin(leader);
  toOther.resume();
  const [latest, events, version, reached, accepted] = await reads;
  assert(latest >= 2, `${latest}`);
  assert.deepEqual(events.slice(0, 2), [1, 2]);
  assert.deepEqual([version, reached, accepted], [3, true, true]);
  assert.deepEqual((await alone.verify()).faults, []);
});

/** A round of the test below; whether the old leader was asked while it still believed that it leads. */
async function round(): Promise<boolean> {
  await using cluster = await startNatsCluster(3, { isolable: true });
  const options = { replicas: 3, readTimeout: 60_000, saveTimeout: 60_000, retention: "forever" as const };
  const actors = [["any", "any"], ["number", 1]] as const;
  {
    await using first = await JetStreamEventStore.open(cluster.urls, options);
    for (const [actorId] of actors) await first.append(actorId, [event("first")], { expectedVersion: 0 });
  }
  const leader = await cluster.streamLeader("aether_default");
  const [other, third] = cluster.servers.filter((server) => server !== leader);
  assert(leader && other && third);
  await using toOther = startProxy(other.url);
  await using toLeader = startProxy(leader.url);
  await using rival = await JetStreamEventStore.open(third.url, options);
  await toLeader.cut();
  const connect = { client: { reconnectTimeWait: 50, ignoreClusterUpdates: true, noRandomize: true } };
  const urls = [toOther.url, toLeader.url];
  await using store = await JetStreamEventStore.open(urls, { ...options, answerTimeout: 8_000, connect });
  await cluster.isolate(leader);
  // The others elect another leader. This raises the head of each actor, and not its version.
  await Promise.all(actors.map(([actorId]) => store.takeOver(actorId, 5)));
  let lost = 0;
  toOther.filter({
    toClient: ({ payload }) => {
      const isAcknowledgement = /^\{"stream":"aether_default",.*"seq":[1-9]/.test(text(payload));
      if (isAcknowledgement) lost++;
      return isAcknowledgement;
    },
  });
  const saves = Promise.all(
    actors.map(([actorId, expectedVersion]) =>
      store.append(actorId, [event("mine")], { expectedVersion, fencingToken: 5 })
    ),
  );
  saves.catch(() => {}); // awaited below
  while (lost < actors.length) await sleep(5);
  for (const [actorId] of actors) {
    await rival.append(actorId, [event("theirs")], { expectedVersion: "any", fencingToken: 5 });
  }
  // The store comes to the old leader, which refuses the repetition, and knows none of the three commits.
  let answered = 0;
  toLeader.resume();
  toLeader.filter({
    toClient: ({ payload }) => {
      if (/stream_msg_get_response","message"/.test(text(payload))) answered++;
      return false;
    },
  });
  await toOther.cut();
  await sleep(2_500);
  const wasAsked = answered > 0;
  cluster.rejoin(leader);
  toOther.resume();
  assert.deepEqual((await saves).map(([saved]) => saved?.version), [2, 2]);
  for (const [actorId] of actors) {
    const history = await rival.getEvents(actorId);
    assert.deepEqual(history.map(({ data }) => data), ["first", "mine", "theirs"]);
  }
  assert.deepEqual((await rival.verify()).faults, []);
  return wasAsked;
}

Deno.test("a deposed leader's older head of the same version settles no save of unknown outcome: it is stored once, and is no conflict", async () => {
  await using pulse = new Pulse();
  for (let rounds = 1; !await round(); rounds++) {
    if (rounds === 8 && pulse.longest > 500) break; // too slow a machine to ask it in time
    assert(rounds < 8, "the old leader had always noticed before it was asked");
  }
});

Deno.test("a refusal by a leader that is about to be deposed is no proof that the present one stores nothing", async () => {
  await using cluster = await startNatsCluster();
  const options = { replicas: 3, retention: "forever" as const };
  {
    await using first = await JetStreamEventStore.open(cluster.urls, options);
    await first.append("other", [event(0)], { expectedVersion: 0 });
  }
  const leader = (await cluster.streamLeader("aether_default"))!;
  const connect = { client: { ignoreClusterUpdates: true } };
  await using store = await JetStreamEventStore.open(leader.url, { ...options, saveTimeout: 2_000, connect });
  // For a moment after an election two servers take what is published: this one refuses as the former leader does.
  await using former = await client(leader.url);
  const refusal = { error: { code: 400, err_code: 10164, description: "wrong last sequence" } };
  const refuse = JSON.stringify({ ...refusal, stream: "aether_default", seq: 0 });
  let refusals = 0;
  former.connection.subscribe("aether.default.>", {
    callback: (error, { reply }) => {
      if (!error && reply && refusals++ === 0) {
        former.connection.publish(reply, new TextEncoder().encode(refuse));
      }
    },
  });
  await former.connection.flush();
  const followers = cluster.servers.filter((server) => server !== leader);
  for (const server of followers) await server.suspend(); // it is stored once they are back
  for (
    const [actorId, conditions] of [["order", []], ["guarded", [{ actorId: "other", version: 1 }]]] as const
  ) {
    refusals = 0;
    const saved = store.append(actorId, [event(1)], { expectedVersion: 0, conditions });
    await assert.rejects(saved, OutcomeUnknownError);
    assert(refusals > 0);
  }
  for (const server of followers) server.resume();
  for (const actorId of ["order", "guarded"]) {
    await until(async () => await store.getLatestVersion(actorId) === 1, `${actorId} is stored`);
  }
});
