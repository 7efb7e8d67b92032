/** `@flowmade-one/aether/studio`, in a server of one's own. Needs no permission. */

import { InMemoryEventStore } from "@flowmade-one/aether/memory";
import { studio } from "@flowmade-one/aether/studio";

await using store = new InMemoryEventStore();
await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
const answer = studio(store, { path: "/studio" });
const page = await answer(new Request("http://127.0.0.1/studio/"));
const icon = await answer(new Request("http://127.0.0.1/studio/client/icon.svg"));
const actors = await answer(new Request("http://127.0.0.1/studio/api/actors"));
const isWhole = (await page.text()).length > 10_000 && (await icon.text()).startsWith("<svg");
console.log(page.status, isWhole, (await actors.json()).actors.length);
