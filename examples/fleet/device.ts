/**
 * A device of the fleet, which reports readings.
 *
 * @module
 */
import {
  type ActorDefinition,
  type Decider,
  defineActor,
  type Event,
  type NewEvent,
} from "@flowmade-one/aether/actor";

/** What happens to devices. */
export type DeviceEvent = Event<"Reported", { reading: number }>;

/** What a device sends. */
export interface DeviceCommand {
  readonly report: number;
}

/** A device as it is after its events. */
export interface Device {
  readonly reports: number;
  readonly sum: number;
  readonly highest?: number;
}

/** The reading cannot be right. */
export class ReadingRefused extends Error {
  override readonly name = "ReadingRefused";
}

const MAX_READING = 1_000;

const decider: Decider<Device, DeviceCommand, DeviceEvent> = {
  initialState: () => ({ reports: 0, sum: 0 }),
  evolve: ({ reports, sum, highest = -Infinity }, { data: { reading } }) => ({
    reports: reports + 1,
    sum: sum + reading,
    highest: Math.max(highest, reading),
  }),
  decide({ report }): readonly NewEvent<DeviceEvent>[] {
    if (Math.abs(report) > MAX_READING) throw new ReadingRefused(`a reading is at most ${MAX_READING}`);
    return [{ eventType: "Reported", data: { reading: report } }];
  },
};

/** The devices. */
export const device: ActorDefinition<Device, DeviceCommand, DeviceEvent, { device: Device }> = defineActor(
  "device",
  { decider, queries: { device: (state) => state }, errors: { ReadingRefused } },
);
