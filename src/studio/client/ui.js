// @ts-check
/// <reference lib="dom" />
/** @import { EventRow } from "../api/mod.ts" */
/** @import { ApiFailure, Paged } from "./api.js" */

/**
 * Parts that several views have.
 *
 * @module
 */

import { clock, colourOf, count, day, duration, visible } from "./format.js";
import { jsonLines } from "./json.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./preact.js";
import { hrefOf } from "./route.js";

/** How many lines of JSON are shown at first. */
const JSON_LINES = 300;

/** @typedef {{ children?: unknown }} Children */

/**
 * A time, by day and time of day; whole when pointed at.
 *
 * @param {{ timestamp: string, isShort?: boolean }} properties
 * @returns {unknown}
 */
export function Time({ timestamp, isShort = false }) {
  const text = isShort ? clock(timestamp) : `${day(timestamp)} ${clock(timestamp)}`;
  return html`<time dateTime=${timestamp} title=${timestamp}>${text}</time>`;
}

/**
 * A link to an actor, at a version if one is given.
 *
 * @param {{ actorId: string, version?: number | undefined }} properties
 * @returns {unknown}
 */
export function ActorLink({ actorId, version }) {
  return html`<a class="actor" href=${hrefOf("actor", actorId, { version })}>${visible(actorId)}</a>`;
}

/**
 * The type of an event, with its colour.
 *
 * @param {{ eventType: string }} properties
 * @returns {unknown}
 */
export function EventType({ eventType }) {
  return html`<span class="type"><span class=${`dot colour-${
    colourOf(eventType)
  }`} aria-hidden="true"></span>${visible(eventType)}</span>`;
}

/**
 * What could not be done, in sentences, and what tries it again.
 *
 * @param {{ failure: ApiFailure | undefined, onRetry?: () => void }} properties
 * @returns {unknown}
 */
export function Failure({ failure, onRetry }) {
  if (!failure) return null;
  return html`
    <div class="note bad" role="alert">
      <p>${visible(failure.message)}</p>
      ${onRetry && html`<button type="button" onClick=${onRetry}>Try again</button>`}
    </div>
  `;
}

/**
 * Says that there is nothing, and what to do.
 *
 * @param {{ title: string } & Children} properties
 * @returns {unknown}
 */
export function Empty({ title, children }) {
  return html`<div class="empty"><p class="empty-title">${title}</p>${children}</div>`;
}

/**
 * A part of a view with a heading.
 *
 * @param {{ title: string, side?: unknown, class?: string } & Children} properties
 * @returns {unknown}
 */
export function Panel({ title, side, children, class: name = "" }) {
  return html`
    <section class=${`panel ${name}`} aria-label=${title}>
      <header class="panel-head"><h2>${title}</h2>${side}</header>
      ${children}
    </section>
  `;
}

/**
 * A table that scrolls sideways where it is too wide.
 *
 * @param {{ label: string, columns: Readonly<Record<string, string>> } & Children} properties `columns` are classes by heading.
 * @returns {unknown}
 */
export function Table({ label, columns, children }) {
  return html`
    <div class="scroll-x" tabindex="0" role="region" aria-label=${label}>
      <table class="rows">
        <thead>
          <tr>${Object.entries(columns).map(([heading, name]) =>
            html`<th scope="col" class=${name}>${heading}</th>`
          )}</tr>
        </thead>
        <tbody>${children}</tbody>
      </table>
    </div>
  `;
}

/**
 * JSON with colours. Lines at `changed` paths are marked.
 *
 * @param {{ value: unknown, changed?: ReadonlySet<string> | undefined, label: string }} properties
 * @returns {unknown}
 */
export function Json({ value, changed, label }) {
  const [maxLines, setMaxLines] = useState(JSON_LINES);
  useEffect(() => setMaxLines(JSON_LINES), [value]);
  const { lines, isCut } = jsonLines(value, maxLines);
  return html`
    <div class="json" role="region" aria-label=${label} tabindex="0">
      ${lines.map(({ depth, key, text, kind, path }) =>
        html`
          <div class=${changed?.has(path) ? "line changed" : "line"}
            style=${{ paddingLeft: `${depth * 1.25 + 0.5}em` }}>${changed?.has(path)
              ? html`<span class="hidden">changed: </span>`
              : null}<span class="key">${key}</span><span class=${kind}>${text}</span></div>
        `
      )}
      ${isCut &&
        html`<button type="button" onClick=${() => setMaxLines(maxLines * 10)}>Show more lines</button>`}
    </div>
  `;
}

/**
 * All about an event: where it is, and what it carries.
 *
 * @param {{ event: EventRow }} properties
 * @returns {unknown}
 */
export function EventDetails({ event }) {
  const metadata = Object.entries(event.metadata ?? {});
  return html`
    <dl class="facts">
      <dt>Time</dt><dd><time dateTime=${event.timestamp}>${visible(event.timestamp)}</time></dd>
      <dt>Id</dt><dd class="code">${visible(event.id)}</dd>
      <dt>Position</dt><dd class="code"><a href=${hrefOf("log", "", { position: event.position })}>${visible(
        event.position,
      )}</a></dd>
      ${metadata.map(([name, value]) =>
        html`
          <dt>${visible(name)}</dt>
          <dd class="code">${visible(value)}</dd>
        `
      )}
    </dl>
  `;
}

/**
 * Copies text when pressed, and says so. Where the browser refuses, the text is shown to be copied by hand.
 *
 * @param {{ text: () => Promise<{ text: string, note: string }>, onFailed: (failure: ApiFailure) => void } & Children} properties
 * @returns {unknown}
 */
export function CopyButton({ text, onFailed, children }) {
  const [note, setNote] = useState("");
  const [byHand, setByHand] = useState("");
  const copy = async () => {
    try {
      const copied = await text();
      try {
        await navigator.clipboard.writeText(copied.text);
        setNote(copied.note);
      } catch {
        setByHand(copied.text);
      }
    } catch (error) {
      onFailed(/** @type {ApiFailure} */ (error));
    }
  };
  useEffect(() => {
    const timer = note && setTimeout(() => setNote(""), 4_000);
    return () => clearTimeout(timer || undefined);
  }, [note]);
  return html`
    <button type="button" onClick=${copy}>${children}</button>
    <span class="copied" role="status">${note}</span>
    ${byHand && html`
      <${Dialog} title="Copy this text" onClose=${() => setByHand("")}>
        <textarea class="code" readonly rows="16" cols="80" aria-label="Text to copy">${byHand}</textarea>
        <div class="actions"><button type="button" onClick=${() => setByHand("")}>Close</button></div>
        <//>
    `}
  `;
}

/**
 * A dialog over the page. The focus stays in it, and returns to where it was.
 *
 * @param {{ title: string, onClose: () => void } & Children} properties
 * @returns {unknown}
 */
export function Dialog({ title, onClose, children }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  // A key that is pressed at once is for the dialog already.
  useLayoutEffect(() => element.current?.showModal(), []);
  return html`
    <dialog ref=${element} aria-label=${title} onClose=${onClose}>
      <h2>${title}</h2>
      ${children}
    </dialog>
  `;
}

/**
 * Shows more of a list, and its beginning again if that has left.
 *
 * @param {{ list: Paged<unknown>, what: string }} properties
 * @returns {unknown}
 */
export function MorePages({ list: { isCut, next, reload, showMore }, what }) {
  return html`
    ${next !== null && html`<button type="button" class="more" onClick=${showMore}>More ${what}</button>`}
    ${isCut && html`<button type="button" class="more" onClick=${reload}>First ${what}</button>`}
  `;
}

/**
 * Links to the next page of a list that is followed as it changes, and to its first page.
 *
 * @param {{ view: string, what: string, after: string | undefined, next: string | null }} properties
 * @returns {unknown}
 */
export function NextPage({ view, what, after, next }) {
  if (!after && next === null) return null;
  return html`
    <nav class="pages" aria-label=${`Pages of ${what}`}>
      ${after && html`<a class="button" href=${hrefOf(view)}>First ${what}</a>`}
      ${next !== null && html`<a class="button" href=${hrefOf(view, "", { after: next })}>Next ${what}</a>`}
    </nav>
  `;
}

/**
 * A number with its name.
 *
 * @param {{ name: string, value: number | string, title?: string }} properties
 * @returns {unknown}
 */
export function Figure({ name, value, title }) {
  return html`
    <div class="figure"
      title=${title}><span class="figure-value">${typeof value === "number"
        ? count(value)
        : value}</span><span class="figure-name">${name}</span></div>
  `;
}

/**
 * The server's time now, by the time it gave when the page was opened, once a second.
 *
 * @param {number} offset The server's time minus the browser's, in milliseconds.
 * @returns {number}
 */
export function useNow(offset) {
  const [now, setNow] = useState(() => Date.now() + offset);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now() + offset), 1_000);
    return () => clearInterval(timer);
  }, [offset]);
  return now;
}

/**
 * How long ago a time was.
 *
 * @param {{ timestamp: string, now: number }} properties
 * @returns {unknown}
 */
export function Ago({ timestamp, now }) {
  const time = Date.parse(timestamp);
  return html`<time dateTime=${timestamp} title=${timestamp}>${duration(now - time)} ago</time>`;
}
