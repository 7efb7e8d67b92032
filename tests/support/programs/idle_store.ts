/**
 * A process that has a store on JetStream open, and does nothing: what the store does by itself goes on until it is
 * killed.
 *
 * Arguments: the server's URL, the namespace.
 *
 * @module
 */

import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { endWithParent } from "./end_with_parent.ts";

const [url = "", namespace = ""] = Deno.args;
await JetStreamEventStore.open(url, { namespace });
endWithParent();
