// @ts-check
/// <reference lib="dom" />
/** @import { ActorState, Difference, EventRow, Session } from "../api/mod.ts" */

/**
 * An actor at a version: its event, its state, the difference to another version, and what caused it.
 *
 * @module
 */

import { get, useLoaded } from "./api.js";
import { EventCauses } from "./causes.js";
import { count, preview, visible } from "./format.js";
import { pathText } from "./json.js";
import { html, useEffect, useState } from "./preact.js";
import { EventDetails, EventType, Failure, Json, Panel } from "./ui.js";

/** How long a version must be shown until its state is asked for, in milliseconds: a slider passes many. */
const SETTLED = 60;
/** The same, for what costs a search. */
const SETTLED_LONG = 300;

/**
 * A value that was the same for a while.
 *
 * @template T
 * @param {T} value
 * @param {number} delay
 * @returns {T}
 */
function useSettled(value, delay) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), delay);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

/**
 * @param {{
 *   actorId: string,
 *   version: number,
 *   query: Readonly<Record<string, string>>,
 *   session: Session,
 *   onChange: (change: Record<string, string | number | undefined>) => void,
 * }} properties
 * @returns {unknown}
 */
export function ActorAt({ actorId, version: asked, query, session, onChange }) {
  const version = useSettled(asked, SETTLED);
  const known = query["decider"] ?? "";
  const decider = session.deciders.includes(known)
    ? known
    : known === "none"
    ? ""
    : session.deciders[0] ?? "";
  const from = Number(query["compare"]) >= 0 && query["compare"]
    ? Number(query["compare"])
    : Math.max(0, version - 1);
  const at = useLoaded(
    (
      signal,
    ) => /** @type {Promise<ActorState>} */ (get(
      "api/actor/state",
      { actor: actorId, version, decider },
      signal,
    )),
    [actorId, version, decider],
  );
  const isComparable = from !== version && (from > 0 || decider !== "");
  const difference = useLoaded(
    (signal) =>
      isComparable
        ? /** @type {Promise<Difference>} */ (get("api/actor/diff", {
          actor: actorId,
          a: from,
          b: version,
          decider,
        }, signal))
        : undefined,
    [actorId, version, from, decider],
  );
  const state = at.value;
  const isStale = state?.version !== asked;
  const changed = new Set(
    difference.value?.b === state?.version ? difference.value?.changes.map(({ path }) => pathText(path)) : [],
  );
  const event = state?.event ?? undefined;
  const happened = event && html`
    <${Panel} title="Event" side=${html`<${EventType} eventType=${event.eventType} />`}>
      <${EventDetails} event=${event} />
      <${Json} value=${event.data} changed=${decider ? undefined : changed} label="Data of the event" />
      <//>
  `;
  const changes = html`
    <${Changes} difference=${difference.value} failure=${difference.failure} from=${from} version=${version}
      isComparable=${isComparable} onChange=${onChange} />
  `;
  return html`
    <div class="at" aria-busy=${isStale ? "true" : "false"}>
      <${Failure} failure=${at.failure} onRetry=${at.reload} />
      ${session.deciders.length > 0
        ? html`
          <${Panel} title=${`State at version ${count(state?.version ?? version)}`} side=${html`
            <label>Decider <select onChange=${(/** @type {any} */ { target }) =>
              onChange({ decider: target.value })}>${[...session.deciders, "none"].map((name) =>
                html`<option value=${name} selected=${name === (decider || "none")}>${visible(name)}</option>`
              )}</select></label>
          `}>
            ${state?.decider ? html`<${Json} value=${state.state} changed=${changed} label="State" />` : null}
          <//>
        `
        : null}
      ${decider ? [changes, happened] : [happened, changes]}
      ${state && !event && html`<p class="hint">Version ${count(state.version)} has no event.</p>`}
      ${session.deciders.length === 0 &&
        html`<p class="hint">To see the state, start the studio with a decider: <code>--decider file.ts#name</code></p>`}
      ${event && html`<${SettledCauses} event=${event} />`}
    </div>
  `;
}

/**
 * @param {{ event: EventRow }} properties
 * @returns {unknown}
 */
function SettledCauses({ event }) {
  const settled = useSettled(event, SETTLED_LONG);
  return html`<${EventCauses} key=${settled.position} event=${settled} />`;
}

/**
 * What has changed between two versions.
 *
 * @param {{
 *   difference: Difference | undefined,
 *   failure: any,
 *   from: number,
 *   version: number,
 *   isComparable: boolean,
 *   onChange: (change: Record<string, string | number | undefined>) => void,
 * }} properties
 * @returns {unknown}
 */
function Changes({ difference, failure, from, version, isComparable, onChange }) {
  const isShown = difference?.a === from && difference.b === version;
  const changes = isShown ? difference.changes : [];
  return html`
    <${Panel} title="Difference" side=${html`
      <label>From version <input type="number" min="0" value=${from} onChange=${(
        /** @type {any} */ { target },
      ) => onChange({ compare: target.value })} /></label> <span>to ${count(version)}</span>
    `}>
      <${Failure} failure=${failure} />
      ${changes.length > 0 && html`
        <table class="rows changes">
          <thead>
            <tr>
              <th scope="col">Field</th>
              <th scope="col">Before</th>
              <th scope="col">After</th>
            </tr>
          </thead>
          <tbody>${changes.map((change) =>
            html`
              <tr>
                <td class="code">${visible(change.path.join(".")) || "(all)"}</td>
                <td class="code">${"before" in change
                  ? html`<del>${preview(change.before)}</del>`
                  : html`<span class="hint">none</span>`}</td>
                <td class="code">${"after" in change
                  ? html`<ins>${preview(change.after)}</ins>`
                  : html`<span class="hint">none</span>`}</td>
              </tr>
            `
          )}</tbody>
        </table>
        ${difference?.isCut && html`<p class="hint">There are more changes.</p>`}
      `}
      ${isShown && changes.length === 0 && html`<p class="hint">Nothing has changed.</p>`}
      ${!isComparable && html`<p class="hint">${whyNot(from, version)}</p>`}
    <//>
  `;
}

/**
 * Why two versions have no difference.
 *
 * @param {number} from
 * @param {number} version
 * @returns {string}
 */
function whyNot(from, version) {
  if (from === version) return "Choose two different versions.";
  if (version === 1) return "This is the first version.";
  return "Version 0 has no event: only a decider has a state there. Choose 1 or a later version.";
}
