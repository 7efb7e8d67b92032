/**
 * The baseline of Effect Cluster: an entity that keeps nothing, called in one process.
 *
 * @module
 */

import { Entity, TestRunner } from "@effect/cluster";
import { Rpc } from "@effect/rpc";
import { Effect, Layer, Schema } from "effect";

const Counter = Entity.make("Counter", [
  Rpc.make("Add", { payload: { by: Schema.Number }, success: Schema.Number }),
]);

const counters = Counter.toLayer(Effect.sync(() => {
  let sum = 0;
  return { Add: ({ payload }) => Effect.sync(() => sum += payload.by) };
}));

/** How many calls a second entities answer, one after the other. */
export async function effectCalls(count: number, actors: number): Promise<number> {
  // deno-lint-ignore explicit-function-return-type -- it is inferred from the effects
  const program = Effect.gen(function* () {
    const client = yield* Counter.client;
    for (let index = 0; index < actors; index++) yield* client(`counter-${index}`).Add({ by: 1 });
    const begun = performance.now();
    for (let index = 0; index < count; index++) {
      yield* client(`counter-${index % actors}`).Add({ by: 1 });
    }
    return count / (performance.now() - begun) * 1_000;
  });
  const layer = counters.pipe(Layer.provideMerge(TestRunner.layer));
  return await Effect.runPromise(Effect.scoped(program.pipe(Effect.provide(layer))));
}
