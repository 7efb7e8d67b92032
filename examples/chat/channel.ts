/**
 * A chat channel.
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

/** What happens in a channel. */
export type ChannelEvent = Event<"Written", { author: string; text: string }>;

/** What can be asked of a channel. */
export interface ChannelCommand {
  readonly author: string;
  readonly text: string;
}

/** The message is not accepted. */
export class MessageRefused extends Error {
  override readonly name = "MessageRefused";
}

const MAX_TEXT_LENGTH = 1_000;

const decider: Decider<number, ChannelCommand, ChannelEvent> = {
  initialState: () => 0,
  evolve: (messages) => messages + 1,
  decide({ author, text }): readonly NewEvent<ChannelEvent>[] {
    if (author.trim() === "" || text.trim() === "") {
      throw new MessageRefused("a message has an author and a text");
    }
    if (text.length > MAX_TEXT_LENGTH) {
      throw new MessageRefused(`a message has at most ${MAX_TEXT_LENGTH} characters`);
    }
    return [{ eventType: "Written", data: { author, text } }];
  },
};

/** The channels. A channel knows how many messages it has; the messages themselves are its events. */
export const channel: ActorDefinition<number, ChannelCommand, ChannelEvent, { messages: number }> =
  defineActor(
    "channel",
    {
      decider,
      queries: { messages: (count) => count },
      errors: { MessageRefused },
    },
  );
