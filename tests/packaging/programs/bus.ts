/** `@flowmade-one/aether/bus`. Needs no permission. */

import { LocalEventBus } from "@flowmade-one/aether/bus";

await using bus = new LocalEventBus();
const greetings = bus.subscribe("greetings", { eventTypes: ["Greeted"] });
await bus.publish("greetings", {
  id: "greeting-1",
  eventType: "Greeted",
  actorId: "world",
  version: 1,
  data: "hello",
  timestamp: "2026-01-01T00:00:00.000Z",
});
for await (const { actorId, data } of greetings) {
  console.log(data, actorId);
  break;
}
