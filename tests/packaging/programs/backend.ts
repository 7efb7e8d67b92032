/** `@flowmade-one/aether/backend`. Needs no permission. */

import { BackedEventStore, type Commit, setUpStore, type StorageBackend } from "@flowmade-one/aether/backend";
import type { StoredEvent } from "@flowmade-one/aether";

const backend = {
  limits: { actorsPerCommit: 10, eventsPerCommit: 100, bytesPerCommit: 262_144, bytesPerEvent: 262_144 },
  commit({ parts }: Commit): readonly StoredEvent[] {
    console.log("commit");
    return parts.flatMap(({ drafts }) => drafts.map(({ event }) => event));
  },
  close: (): Promise<void> => Promise.resolve(),
} satisfies Partial<StorageBackend>;

await using store = new BackedEventStore(backend as unknown as StorageBackend, setUpStore({}));
await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
