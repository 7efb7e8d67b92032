/**
 * Random histories against a simple model.
 *
 * @module
 */

import fc from "fast-check";
import type { Theme } from "../context.ts";
import { History } from "./history.ts";
import { step } from "./steps.ts";

/** Random histories. */
export const model: Theme = {
  topic: "model",
  cases: [
    {
      name: "random histories go as in the model",
      slow: true,
      async run(context): Promise<void> {
        const { numRuns, seed } = context.effort;
        await fc.assert(
          fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40, size: "max" }), async (steps) => {
            await using fresh = context.again();
            await (await History.begin(fresh)).run(steps);
          }),
          {
            numRuns,
            interruptAfterTimeLimit: context.effort.patience * 2,
            ...(seed === undefined ? {} : { seed }),
          },
        );
      },
    },
  ],
};
