/**
 * What all processes did, in the order in which they did it.
 *
 * @module
 */
import assert from "node:assert/strict";

/** One action under a token. */
interface Action {
  readonly time: number;
  readonly what: string;
  readonly token: number;
  readonly node: string;
}

/** Reads the logs of all processes; the last line of one that was killed may be incomplete. */
export async function readLogs(folder: string): Promise<Action[]> {
  const actions: Action[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (!name.endsWith(".log")) continue;
    const lines = (await Deno.readTextFile(`${folder}/${name}`)).split("\n").slice(0, -1);
    for (const line of lines) {
      const [time, what, token, node] = line.split(" ");
      if (node !== undefined) {
        actions.push({ time: Number(time), what: what ?? "", token: Number(token), node });
      }
    }
  }
  return actions.sort((a, b) => a.time - b.time);
}

/** No two nodes acted on one thing at one time: each acts from its first to its last action, and tokens rise. */
export function assertExclusive(actions: readonly Action[]): void {
  const latest = new Map<string, Action>();
  for (const action of actions) {
    const before = latest.get(action.what);
    const message = `${JSON.stringify(before)}, then ${JSON.stringify(action)}`;
    if (before !== undefined) {
      assert(action.token >= before.token, `a token from the past: ${message}`);
      if (action.token === before.token) {
        assert.equal(action.node, before.node, `two nodes under one token: ${message}`);
      }
    }
    latest.set(action.what, action);
  }
}
