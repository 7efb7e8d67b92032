// @ts-check
/** @import { EventLinks, EventRow } from "../api/mod.ts" */

/**
 * What caused an event, and what it caused.
 *
 * @module
 */

import { get, useLoaded } from "./api.js";
import { html, useState } from "./preact.js";
import { ActorLink, EventType, Failure, Panel, Time } from "./ui.js";

/**
 * @param {EventLinks} links
 * @param {EventLinks} more
 * @returns {EventLinks}
 */
function merged(links, more) {
  return {
    cause: links.cause ?? more.cause,
    effects: inOrder([...links.effects, ...more.effects]),
    related: inOrder([...links.related, ...more.related]),
    before: more.before,
    after: more.after,
  };
}

/**
 * @param {readonly EventRow[]} events
 * @returns {EventRow[]}
 */
function inOrder(events) {
  return [...new Map(events.map((event) => [event.position, event])).values()].sort((a, b) =>
    a.position < b.position ? -1 : 1
  );
}

/**
 * @param {{ event: EventRow }} properties
 * @returns {unknown}
 */
export function EventCauses({ event }) {
  const { position } = event;
  const first = useLoaded(
    (signal) => /** @type {Promise<EventLinks>} */ (get("api/event/links", { position }, signal)),
    [position],
  );
  const [found, setFound] = useState(/** @type {EventLinks | undefined} */ (undefined));
  const [failure, setFailure] = useState(/** @type {any} */ (undefined));
  const links = /** @type {EventLinks | undefined} */ (found ?? first.value);
  const search = async () => {
    if (!links) return;
    const { before, after } = links;
    try {
      setFound(merged(links, await get("api/event/links", { position, before, after })));
      setFailure(undefined);
    } catch (error) {
      setFailure(error);
    }
  };
  const { causationId } = event.metadata ?? {};
  const isMore = links &&
    (links.before !== null && causationId !== undefined && !links.cause || links.after !== null);
  return html`
    <${Panel} title="Cause and effect">
      <${Failure} failure=${first.failure ?? failure} />
      ${links && html`
        <dl class="causes">
          <dt>Caused by</dt>
          <dd>${links.cause
            ? html`<${EventLine} event=${links.cause} />`
            : html`<span class="hint">${
              causationId === undefined
                ? "The event names no cause."
                : "Not found among the events around it."
            }</span>`}</dd>
          <dt>Has caused</dt>
          <dd>${links.effects.length > 0
            ? links.effects.map((effect) => html`<${EventLine} key=${effect.position} event=${effect} />`)
            : html`<span class="hint">No event that was found.</span>`}</dd>
          ${links.related.length > 0 && html`
            <dt>Same correlation</dt>
            <dd>${links.related.map((related) =>
              html`<${EventLine} key=${related.position} event=${related} />`
            )}</dd>
          `}
        </dl>
        ${isMore && html`<button type="button" class="more" onClick=${search}>Search further</button>`}
      `}
    <//>
  `;
}

/**
 * @param {{ event: EventRow }} properties
 * @returns {unknown}
 */
function EventLine({ event }) {
  return html`
    <div class="event-line">
      <${EventType} eventType=${event.eventType} />
      <${ActorLink} actorId=${event.actorId} version=${event.version} />
      <${Time} timestamp=${event.timestamp} />
    </div>
  `;
}
