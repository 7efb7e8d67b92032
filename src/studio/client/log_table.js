// @ts-check
/** @import { LogRow } from "./log_rows.js" */

/**
 * Rows of the log.
 *
 * @module
 */

import { count, preview, visible } from "./format.js";
import { html, useEffect, useState } from "./preact.js";
import { hrefOf } from "./route.js";
import { ActorLink, EventDetails, EventType, Json, Time } from "./ui.js";

/**
 * A table of rows, each of which can be opened.
 *
 * @param {{ rows: readonly LogRow[], selected: string | undefined }} properties
 * @returns {unknown}
 */
export function LogTable({ rows, selected }) {
  const [open, setOpen] = useState(selected);
  useEffect(() => setOpen(selected), [selected]);
  return html`
    <table class="rows">
      <thead>
        <tr>
          <th scope="col">Time (UTC)</th>
          <th scope="col">Type</th>
          <th scope="col">Actor</th>
          <th scope="col" class="number">Version</th>
          <th scope="col" class="wide">Data</th>
        </tr>
      </thead>
      <tbody>
        ${rows.map((row) =>
          html`<${Row} key=${row.key} row=${row} isOpen=${open === row.key} onToggle=${() =>
            setOpen(open === row.key ? undefined : row.key)} />`
        )}
      </tbody>
    </table>
  `;
}

/**
 * @param {{ row: LogRow, isOpen: boolean, onToggle: () => void }} properties
 * @returns {unknown}
 */
function Row({ row, isOpen, onToggle }) {
  if (row.kind === "gap") {
    return html`
      <tr class="gap">
        <td
          colspan="5">${count(row.gap.events)}${row.gap.isMore
            ? " or more"
            : ""} events came too fast to be shown. <a href=${hrefOf("log", "", {
              position: row.gap.until,
            })}>Show the last of them</a></td>
      </tr>
    `;
  }
  if (row.kind === "damage") {
    return html`
      <tr class="bad">
        <td colspan="5">${visible(row.damage.message)}</td>
      </tr>
    `;
  }
  const { event } = row;
  return html`
    <tr class=${isOpen ? "open" : ""} onClick=${(/** @type {MouseEvent} */ click) =>
      isControl(click.target) || onToggle()}>
      <td><button type="button" class="plain toggle" aria-expanded=${isOpen
        ? "true"
        : "false"} onClick=${onToggle}><${Time} timestamp=${event.timestamp} isShort /></button></td>
      <td>
        <${EventType} eventType=${event.eventType} />
      </td>
      <td>
        <${ActorLink} actorId=${event.actorId} version=${event.version} />
      </td>
      <td class="number">${count(event.version)}</td>
      <td class="wide preview">${preview(event.data)}</td>
    </tr>
    ${isOpen && html`
      <tr class="details">
        <td colspan="5">
          <${EventDetails} event=${event} />
          <${Json} value=${event.data} label="Data of the event" />
        </td>
      </tr>
    `}
  `;
}

/**
 * @param {EventTarget | null} target
 * @returns {boolean}
 */
function isControl(target) {
  return target instanceof Element && target.closest("a, button") !== null;
}
