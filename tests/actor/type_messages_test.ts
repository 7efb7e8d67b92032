/** What the compiler prints for a wrong call or definition: the mistake and what is expected, not the types of the library. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));
const PROGRAM = `
import { ActorHost, type Decider, defineActor, type Event } from "@flowmade-one/aether/actor";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";
type Moved = Event<"Deposited" | "Withdrawn", { amount: number }>;
type Command = { deposit: number } | { withdraw: number };
const decider: Decider<number, Command, Moved> = {
  initialState: () => 0,
  evolve: (sum, { data }) => sum + data.amount,
  decide: () => [],
};
const account = defineActor("account", { decider, queries: { balance: (sum) => sum } });
const host = await ActorHost.start({ store: new InMemoryEventStore<Moved>(), actors: [account] });
const actor = host.client.get(account, "account-1");
`;
const MISTAKES: Readonly<Record<string, RegExp>> = {
  "await actor.call({ witdraw: 5 });": /'witdraw' does not exist in type 'Command'/,
  'await actor.query("balanse");': /'"balanse"' is not assignable to parameter of type '"balance"'/,
  'defineActor("account", { decider, errors: { NotEnough: "x" } });':
    /Type 'string' is not assignable to type 'abstract new \(\.\.\.args: never\[\]\) => Error'/,
  'defineActor("account", { decider, timers: () => ({ due: { at: 0, command: { withdrow: 1 } } }) });':
    /'\{ readonly withdrow: 1; \}' is not assignable to type 'Command'/,
};

Deno.test("types: the compiler names the mistake in a command, a query, an error class and a timer", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/wrong.ts`;
    await Deno.writeTextFile(file, PROGRAM + Object.keys(MISTAKES).join("\n"));
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["check", "--config", CONFIG, file],
      env: { NO_COLOR: "1" },
    }).output();
    assert.equal(success, false);
    const text = new TextDecoder().decode(stderr);
    const found = text.split(/(?=^TS\d+)/m).filter((message) => message.startsWith("TS"));
    for (const [index, [mistake, message]] of Object.entries(MISTAKES).entries()) {
      assert.match(found[index] ?? "", message, mistake);
      assert.ok(found[index]!.includes(mistake), text);
    }
    assert.equal(found.length, Object.keys(MISTAKES).length, text);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
