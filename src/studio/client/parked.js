// @ts-check
/// <reference lib="dom" />
/** @import { ParkedPage, ParkedRow, ProjectionRow } from "../api/mod.ts" */

/**
 * What a projection has set aside, and what can be done about it.
 *
 * @module
 */

import { get, post, usePages } from "./api.js";
import { plural, visible } from "./format.js";
import { html, useState } from "./preact.js";
import { ActorLink, Ago, Dialog, EventType, Failure, MorePages } from "./ui.js";

/** The events of a page. */
const PAGE = 50;

/** @typedef {{ action: "retry" | "discard", parked: ParkedRow }} Asked */

/**
 * @param {{ row: ProjectionRow, canWrite: boolean, now: number, onChange: () => void }} properties
 * @returns {unknown}
 */
export function Parked({ row, canWrite, now, onChange }) {
  const { name: projection, version } = row;
  const list = usePages(
    (after, signal) => /** @type {Promise<ParkedPage>} */ (get(
      "api/parked",
      { projection, version, after, limit: PAGE },
      signal,
    )),
    [projection, version, row.parked],
  );
  const [asked, setAsked] = useState(/** @type {Asked | undefined} */ (undefined));
  const [failure, setFailure] = useState(/** @type {any} */ (undefined));
  const [note, setNote] = useState("");
  /** @param {Asked} asked */
  const run = async ({ action, parked }) => {
    setAsked(undefined);
    setFailure(undefined);
    setNote("");
    try {
      await post(`api/parked/${action}`, { projection, version, position: parked.position });
      setNote(action === "retry" ? "The event was handled." : "The event was discarded.");
    } catch (error) {
      setFailure(error);
    }
    list.reload();
    onChange();
  };
  return html`
    <${Failure} failure=${list.failure ?? failure} />
    <p class="hint" role="status">${note}</p>
    <ul class="parked">
      ${list.pages.flatMap((page) => page.parked).map((parked) =>
        html`
          <li key=${parked.position}>
            <div class="parked-head">
              <${EventType} eventType=${parked.eventType} />
              <span>event ${parked.eventVersion} of <${ActorLink} actorId=${parked.actorId} version=${parked
                .eventVersion} /></span>
              <span class="hint"><${Ago} timestamp=${parked.parkedAt} now=${now} />, ${plural(
                parked.attempts,
                "attempt",
              )}${parked.blocksActor ? ", later events of the actor wait" : ""}</span>
              ${canWrite && html`
                <span class="actions">
                  <button type="button" disabled=${!row.canRetry} title=${row.canRetry
                    ? undefined
                    : "The handler of this projection is not known here"} onClick=${() =>
                    setAsked({ action: "retry", parked })}>Retry</button>
                  <button type="button" class="danger" onClick=${() =>
                    setAsked({ action: "discard", parked })}>Discard</button>
                </span>
              `}
            </div>
            <pre class="error" tabindex="0" aria-label="Error of the handler">${visible(parked.error)}</pre>
          </li>
        `
      )}
    </ul>
    <${MorePages} list=${list} what="parked events" />
    ${!canWrite &&
      html`<p class="hint">To retry or discard events, start the studio with <code>--write</code>.</p>`}
    ${canWrite && !row.canRetry &&
      html`<p class="hint">To retry events, the studio must know the handler: <code>--projection file.ts#name</code>.</p>`}
    ${asked &&
      html`<${Confirmation} asked=${asked} projection=${projection} onRun=${run} onClose=${() =>
        setAsked(undefined)} />`}
  `;
}

/**
 * Says what will be done, before it is done.
 *
 * @param {{ asked: Asked, projection: string, onRun: (asked: Asked) => void, onClose: () => void }} properties
 * @returns {unknown}
 */
function Confirmation({ asked, projection, onRun, onClose }) {
  const { action, parked } = asked;
  const which = `event ${parked.eventVersion} (${visible(parked.eventType)}) of "${visible(parked.actorId)}"`;
  return html`
    <${Dialog} title=${action === "retry" ? "Retry the event?" : "Discard the event?"} onClose=${onClose}>
      <p>${action === "retry"
        ? `The handler of "${visible(projection)}" is called with ${which} again.`
        : `"${visible(projection)}" will never handle ${which}. The event itself is kept in the log.`}</p>
      <div class="actions">
        <button type="button" onClick=${onClose}>Cancel</button>
        <button type="button" class=${action === "retry" ? "strong" : "danger"} onClick=${() =>
          onRun(asked)}>${action === "retry" ? "Retry" : "Discard"}</button>
      </div>
      <//>
  `;
}
