/**
 * The doors beside a store's methods: buses, projections, the cluster. A value in the wrong place is refused with an
 * error of the library's, or harmless; what an oracle could say beyond that, their own suites say.
 *
 * @module
 */

import {
  Coordinator,
  InMemoryBucket,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InMemoryLeases,
  LocalEventBus,
  projectionStatuses,
  projectOnce,
  runProjection,
  shardOf,
  waitFor,
} from "@flowmade-one/aether";
import type { Arguments } from "./call.ts";
import type { Kind } from "./judge.ts";

/** A door. */
export interface Door {
  /** Sound arguments. */
  readonly sound: () => Arguments;
  /** Where another value can be put in, and what stands there; `undefined` where anything may be refused or taken. */
  readonly places: Readonly<Record<string, Kind | undefined>>;
  /** Goes through it. */
  readonly run: (args: Arguments) => Promise<unknown>;
}

const event = (): Arguments => ({ eventType: "Happened", actorId: "a", version: 1, data: { member: 1 } });
const filter: Readonly<Record<string, Kind>> = {
  options: "options",
  "options.eventTypes": "optional types",
  "options.actorId": "optional actor id",
  "options.actorPrefix": "optional prefix",
  "options.signal": "optional signal",
};
const subscription: Readonly<Record<string, Kind | undefined>> = {
  ...filter,
  "options.buffer": undefined,
  "options.overflow": undefined,
  "options.onLoss": "optional function",
};

async function stored(): Promise<InMemoryEventStore> {
  const store = new InMemoryEventStore();
  await store.append("a", [{ eventType: "Happened", data: null }], { expectedVersion: 0 });
  return store;
}

const projection = (): Arguments => ({
  name: "projection",
  version: 1,
  checkpoints: new InMemoryCheckpoints(),
  filter: { eventTypes: ["Happened"] },
  handle: (): void => {},
  failure: { retries: 0 },
});
const inProjection: Readonly<Record<string, Kind | undefined>> = {
  projection: "object",
  "projection.name": undefined,
  "projection.version": "optional version",
  "projection.checkpoints": "object",
  "projection.filter": undefined,
  "projection.filter.eventTypes": "optional types",
  "projection.filter.actorPrefix": "optional prefix",
  "projection.handle": undefined,
  "projection.failure": undefined,
  "projection.failure.retries": "optional limit",
  "projection.failure.firstDelay": undefined,
  "projection.failure.then": undefined,
  "projection.handlerTimeout": undefined,
  "projection.checkpointEvents": undefined,
  "projection.from": undefined,
};

/** By name. */
export const DOORS = {
  "bus.publish": {
    sound: () => ({ namespace: "orders", event: event() }),
    places: {
      namespace: undefined,
      event: "event",
      "event.actorId": "actorId",
      "event.version": "version",
      "event.eventType": "name",
      "event.data": undefined,
      "event.data.member": "member",
      "event.metadata": "metadata",
    },
    async run({ namespace, event }): Promise<void> {
      await using bus = new LocalEventBus();
      await bus.publish(namespace, event);
    },
  },
  "bus.subscribe": {
    sound: () => ({ namespace: "orders", options: { eventTypes: ["Happened"] } }),
    places: { namespace: undefined, ...subscription },
    async run({ namespace, options }): Promise<void> {
      await using bus = new LocalEventBus({ onWarning: () => {} });
      await using subscription = bus.subscribe(namespace, options);
      await subscription.ready;
    },
  },
  "bus.subscribePattern": {
    sound: () => ({ pattern: "*", options: { eventTypes: ["Happened"] } }),
    places: { pattern: undefined, ...subscription },
    async run({ pattern, options }): Promise<void> {
      await using bus = new LocalEventBus({ onWarning: () => {} });
      await using subscription = bus.subscribePattern(pattern, options);
      await subscription.ready;
    },
  },
  "bus options": {
    sound: () => ({ options: {} }),
    places: { options: "options", "options.onWarning": "optional function" },
    async run({ options }): Promise<void> {
      await new LocalEventBus(options).close();
    },
  },
  "store options": {
    sound: () => ({ options: { events: { Happened: { version: 1 } } } }),
    places: {
      options: "options",
      "options.storage": undefined,
      "options.events": undefined,
      "options.events.Happened": undefined,
      "options.events.Happened.version": undefined,
      "options.events.Happened.schema": undefined,
      "options.events.Happened.upcast": undefined,
    },
    async run({ options }): Promise<void> {
      await new InMemoryEventStore(options).close();
    },
  },
  projectOnce: {
    sound: () => ({ projection: projection(), options: { budgetMs: 50 } }),
    places: {
      ...inProjection,
      options: "options",
      "options.budgetMs": undefined,
      "options.signal": "optional signal",
    },
    async run({ projection, options }): Promise<void> {
      await using store = await stored();
      await projectOnce(store, projection, options);
    },
  },
  runProjection: {
    sound: () => ({ projection: projection(), options: { onWarning: (): void => {} } }),
    places: {
      ...inProjection,
      options: "options",
      "options.holder": undefined,
      "options.leaseTtl": undefined,
      "options.leases": undefined,
      "options.signal": "optional signal",
      "options.onWarning": "optional function",
    },
    async run({ projection, options }): Promise<void> {
      await using store = await stored();
      await using _run = runProjection(store, projection, options);
    },
  },
  waitFor: {
    sound: () => ({ projection: projection(), position: "", options: { timeout: 1 } }),
    places: {
      projection: "object",
      "projection.checkpoints": "object",
      position: undefined,
      "options.timeout": undefined,
      "options.pollInterval": undefined,
      "options.signal": undefined,
    },
    async run({ projection, position, options }): Promise<void> {
      await using store = await stored();
      await waitFor(store, projection, position, options);
    },
  },
  projectionStatuses: {
    sound: () => ({ checkpoints: new InMemoryCheckpoints(), options: {} }),
    places: { options: "options", "options.signal": "optional signal", "options.countLimit": undefined },
    async run({ checkpoints, options }): Promise<void> {
      await using store = await stored();
      await projectionStatuses(store, checkpoints, options);
    },
  },
  shardOf: {
    sound: () => ({ actorId: "a", shardCount: 12 }),
    places: { actorId: undefined, shardCount: undefined },
    run: ({ actorId, shardCount }) => Promise.resolve().then(() => shardOf(actorId, shardCount)),
  },
  "Coordinator.join": {
    sound: () => ({ cluster: new InMemoryBucket(), options: { shardCount: 2, onWarning: (): void => {} } }),
    places: {
      options: "options",
      "options.name": undefined,
      "options.address": undefined,
      "options.metadata": undefined,
      "options.weight": undefined,
      "options.shardCount": undefined,
      "options.ttl": undefined,
      "options.candidate": undefined,
      "options.signal": "optional signal",
      "options.onWarning": "optional function",
    },
    async run({ cluster, options }): Promise<void> {
      await using _coordinator = await Coordinator.join(cluster, options);
    },
  },
  acquire: {
    sound: () => ({ key: "key", options: { ttl: 2_000 } }),
    places: {
      key: undefined,
      options: "options",
      "options.ttl": undefined,
      "options.holder": undefined,
      "options.signal": "optional signal",
    },
    async run({ key, options }): Promise<void> {
      await using leases = new InMemoryLeases();
      await using _lease = await leases.tryAcquire(key, options);
    },
  },
} as const satisfies Record<string, Door>;

/** The name of a door. */
export type DoorName = keyof typeof DOORS;
