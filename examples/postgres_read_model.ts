/**
 * Events in NATS, and a read model in PostgreSQL that counts each event exactly once, also if this program or the database is killed at
 * any moment. Start a nats-server with JetStream and a PostgreSQL server, then this, in several terminals if you like:
 *
 * ```sh
 * nats-server --jetstream
 * deno run --allow-net=127.0.0.1 --allow-env examples/postgres_read_model.ts nats://127.0.0.1:4222 postgres://postgres@127.0.0.1/postgres
 * ```
 *
 * One of the programs works, and another takes over when it ends. Each places an order at its start.
 *
 * @module
 */
import {
  type Event,
  JetStreamEventStore,
  JetStreamLeases,
  PostgresCheckpoints,
  runProjection,
} from "@flowmade-one/aether";
import postgres from "postgres";

type OrderEvent = Event<"OrderPlaced", { readonly item: string; readonly quantity: number }>;

const [
  natsUrl = "nats://127.0.0.1:4222",
  postgresUrl = "postgres://postgres@127.0.0.1/postgres",
  leaseTtl = "15000", // how long another program waits after this one was killed
] = Deno.args;

const sql = postgres(postgresUrl, { onnotice: () => {} });
await sql`CREATE TABLE IF NOT EXISTS sold (item TEXT PRIMARY KEY, quantity INTEGER NOT NULL)`;

await using store = await JetStreamEventStore.open<OrderEvent>(natsUrl);
await using leases = await JetStreamLeases.open(natsUrl);
await using run = runProjection(store, {
  name: "sold",
  checkpoints: await PostgresCheckpoints.open(sql),
  handle: {
    async OrderPlaced({ data: { item, quantity } }, { transaction }): Promise<void> {
      await transaction`
        INSERT INTO sold VALUES (${item}, ${quantity})
        ON CONFLICT (item) DO UPDATE SET quantity = sold.quantity + excluded.quantity`;
    },
  },
}, { leases, leaseTtl: Number(leaseTtl) });

const [placed] = await store.append(`order-${crypto.randomUUID()}`, [
  { eventType: "OrderPlaced", data: { item: "pen", quantity: 3 } },
], { expectedVersion: 0 });
await run.waitFor(placed!.position, { timeout: 60_000 }); // handled here, or by the program that works
for (const { item, quantity } of await sql`SELECT item, quantity FROM sold ORDER BY item`) {
  console.log(`${item}: ${quantity} sold`);
}

Deno.addSignalListener("SIGINT", () => run.close());
await run.finished;
await sql.end();
