/**
 * What works on timers, at its worst: it sends each timer at least once, also too early, and also one that was replaced. The
 * actors decide what takes effect.
 *
 * @module
 */
import type { ActorRequest } from "../../../src/actor/reference.ts";
import type { ClientSetup } from "./client.ts";
import type { LedgerDefinition } from "./ledger.ts";

/** How early a timer is sent at the earliest, in ms. */
const EARLY = 300;

/** Sends timers until their actors have none. */
export async function runTimers(
  { world, subject, invariants }: Pick<ClientSetup, "world" | "subject" | "invariants">,
  ledger: LedgerDefinition,
  send: (request: ActorRequest) => Promise<unknown>,
): Promise<void> {
  const { random } = world;
  const sent: { readonly actor: string; readonly at: number }[] = [];
  const fire = async ({ actor, at }: { readonly actor: string; readonly at: number }): Promise<void> => {
    const timer = { name: "due", at };
    const id = await subject.timerCommandId(actor, timer);
    const request = { definition: ledger as never, actorId: actor, content: { timer }, id, timeout: 3_000 };
    await send({ ...request, signal: undefined, origin: ORIGIN }).catch(() => {}); // it is sent again
  };
  for (;;) {
    const due = invariants.timers().filter(({ at }) => at - EARLY <= world.time);
    const old = random.chance(0.2) ? random.pick(sent) : undefined;
    const firing = [...due, ...due.filter(() => random.chance(0.3)), ...(old ? [old] : [])];
    sent.push(...due);
    await Promise.all(firing.map(fire));
    await new Promise<void>((resolve) => setTimeout(resolve, random.between(10, 150)));
  }
}

const ORIGIN: ActorRequest["origin"] = { chain: [], traceparent: undefined };
