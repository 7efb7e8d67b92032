// @ts-check
/// <reference lib="dom" />
/** @import { ProjectionList, ProjectionRow, SegmentRow, Session } from "../api/mod.ts" */
/** @import { Route } from "./route.js" */

/**
 * How projections are getting on.
 *
 * @module
 */

import { get } from "./api.js";
import { Sparkline } from "./chart.js";
import { count, duration, plural, short, visible } from "./format.js";
import { Parked } from "./parked.js";
import { html, useRef, useState } from "./preact.js";
import { useStream } from "./stream.js";
import { ActorLink, Ago, Empty, Failure, Figure, NextPage, Panel, Table, useNow } from "./ui.js";

/** The projections of a page, by name. */
const PAGE = 50;
/** How many values a line shows. */
const VALUES = 60;

const SEGMENT_COLUMNS = {
  ...{ Segment: "number", State: "", Behind: "number", "A second": "number" },
  ...{ Handled: "number", Parked: "number", Error: "" },
};

const STATES = {
  "up-to-date": ["good", "up to date"],
  behind: ["warn", "behind"],
  failing: ["bad", "failing"],
  stopped: ["bad", "stopped"],
  problem: ["bad", "cannot go on"],
  rebuilding: ["info", "rebuilding"],
  replaced: ["quiet", "replaced"],
};

/**
 * @param {Pick<ProjectionRow, "name" | "version">} row
 * @returns {string}
 */
function keyOf({ name, version }) {
  return `${name} ${version}`;
}

/**
 * The view of projections.
 *
 * @param {{ route: Route, session: Session, offset: number }} properties
 * @returns {unknown}
 */
export function Projections({ route, session, offset }) {
  if (!session.hasProjections) {
    return html`
      <${Empty} title="The studio does not know where the checkpoints of projections are.">
        <p>Start it with <code>--checkpoints</code>, or pass <code>checkpoints</code> to <code>studio()</code>.</p>
        <//>
    `;
  }
  const { after } = route.query;
  return html`<${Page} key=${after} after=${after} session=${session} offset=${offset} />`;
}

/**
 * A page of projections.
 *
 * @param {{ after: string | undefined, session: Session, offset: number }} properties
 * @returns {unknown}
 */
function Page({ after, session, offset }) {
  const [list, setList] = useState(/** @type {ProjectionList | undefined} */ (undefined));
  const lags = useRef(/** @type {Map<string, number[]>} */ (new Map()));
  const now = useNow(offset);
  /** @param {ProjectionList} shown */
  const show = (shown) => {
    for (const row of shown.projections) {
      const before = lags.current.get(keyOf(row)) ?? [];
      if (row.lag) lags.current.set(keyOf(row), [...before.slice(1 - VALUES), row.lag.events]);
    }
    setList(shown);
  };
  const query = { after, limit: PAGE };
  const { failure, restart } = useStream("api/projections/live", query, { projections: show }, []);
  const look = () => get("api/projections", query).then(show, () => {});
  return html`
    <${Failure} failure=${failure} onRetry=${restart} />
    ${list?.projections.map((/** @type {ProjectionRow} */ row) =>
      html`
        <${Projection} key=${keyOf(row)} row=${row} lags=${lags.current.get(keyOf(row)) ??
          []} session=${session} now=${now}
          onChange=${look} />
      `
    )}
    ${list?.projections.length === 0 && html`
      <${Empty} title=${after ? "There are no more projections." : "No projection has a checkpoint yet."}>
        <p>A projection is listed when it has handled its first events.</p>
        <//>
    `}
    ${list && html`<${NextPage} view="projections" what="projections" after=${after} next=${list.next} />`}
  `;
}

/**
 * @param {{ row: ProjectionRow, lags: readonly number[], session: Session, now: number, onChange: () => void }} properties
 * @returns {unknown}
 */
function Projection({ row, lags, session, now, onChange }) {
  const [isOpen, setOpen] = useState(false);
  const [colour, state] = STATES[row.state];
  return html`
    <${Panel} class="projection" title=${`${visible(row.name)}, version ${row.version}`} side=${html`
      <span class=${`badge ${colour}`}>${state}</span>
    `}>
      <div class="figures">
        <${Figure} name="events behind" value=${row.lag
          ? `${count(row.lag.events)}${row.lag.isMore ? "+" : ""}`
          : "?"} />
        <div class="figure wide"><${Sparkline} values=${lags} label="Events behind" /></div>
        <${Figure} name="oldest waits" value=${row.lag ? duration(row.lag.time) : "?"} />
        <${Figure} name="events a second" value=${short(row.rate)} />
        <${Figure} name="handled" value=${row.handled} />
        <${Figure} name="parked" value=${row.parked} />
        <div class="figure"><span class="figure-value"><${Ago} timestamp=${row
          .savedAt} now=${now} /></span><span class="figure-name">checkpoint</span></div>
      </div>
      ${row.problem !== null && html`<p class="note bad">${visible(row.problem)}</p>`}
      ${row.failing && html`
        <p
          class="note bad">Fails on event ${row.failing.eventVersion} of <${ActorLink} actorId=${row.failing
            .actorId} version=${row.failing.eventVersion} /> (${visible(row.failing.eventType)}, ${plural(
              row.failing.attempts,
              "attempt",
            )}): ${visible(row.failing.error)}</p>
      `}
      ${row.rebuild && html`<${Rebuild} rebuild=${row.rebuild} />`}
      ${row.replacedBy !== null && html`<p class="hint">Version ${row.replacedBy} has taken over.</p>`}
      ${row.segments.length > 0 && html`<${Segments} segments=${row.segments} />`}
      ${row.parked > 0 && html`
        <button type="button" aria-expanded=${isOpen ? "true" : "false"} onClick=${() =>
          setOpen(!isOpen)}>${isOpen ? "Hide" : "Show"} ${plural(row.parked, "parked event")}</button>
        ${isOpen &&
          html`<${Parked} row=${row} canWrite=${session.canWrite} now=${now} onChange=${onChange} />`}
      `}
    <//>
  `;
}

/**
 * @param {{ rebuild: NonNullable<ProjectionRow["rebuild"]> }} properties
 * @returns {unknown}
 */
function Rebuild({ rebuild: { replaces, share, timeLeft } }) {
  return html`
    <p
      class="rebuild"><label>Rebuilt to replace version ${replaces} <progress max="1" value=${share}></progress></label> ${Math
        .floor(share * 100)} %${timeLeft !== null && `, about ${duration(timeLeft)} left`}</p>
  `;
}

/**
 * @param {{ segments: readonly SegmentRow[] }} properties
 * @returns {unknown}
 */
function Segments({ segments }) {
  const rows = segments.map(({ index, state, lag, rate, handled, parked, failing }) =>
    html`
      <tr key=${index}>
        <td class="number">${index}</td>
        <td><span class=${`badge ${STATES[state][0]}`}>${STATES[state][1]}</span></td>
        <td class="number">${lag ? `${count(lag.events)}${lag.isMore ? "+" : ""}` : "?"}</td>
        <td class="number">${short(rate)}</td>
        <td class="number">${count(handled)}</td>
        <td class="number">${count(parked)}</td>
        <td>${failing &&
          html`<${ActorLink} actorId=${failing.actorId} version=${failing.eventVersion} /> ${
            visible(failing.error)
          }`}</td>
      </tr>
    `
  );
  return html`
    <${Table} label="Table of segments" columns=${SEGMENT_COLUMNS}>${rows}<//>
  `;
}
