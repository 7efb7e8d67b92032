// @ts-check
/// <reference lib="dom" />
/** @import { FaultPage, Health as HealthReport, Session, VerifyLive } from "../api/mod.ts" */
/** @import { ApiFailure } from "./api.js" */

/**
 * What weakens the store, and whether its log is whole.
 *
 * @module
 */

import { get, useLoaded, usePages } from "./api.js";
import { count, plural, visible } from "./format.js";
import { html, useEffect, useRef, useState } from "./preact.js";
import { hrefOf } from "./route.js";
import { Stream } from "./stream.js";
import { Empty, Failure, MorePages, Panel, Time } from "./ui.js";

/** The damaged places of a page, and how many the server lists. */
const FAULTS = 50;
const MAX_FAULTS = 10_000;
const SEVERITIES = { info: "info", warning: "warn", critical: "bad" };

/**
 * The view of a store's health.
 *
 * @param {{ session: Session }} properties
 * @returns {unknown}
 */
export function Health({ session }) {
  const { value, failure, reload } = useLoaded(
    (signal) => /** @type {Promise<HealthReport>} */ (get("api/health", {}, signal)),
    [],
  );
  return html`
    <${Failure} failure=${failure} onRetry=${reload} />
    ${value && html`
      <div class="split">
        <div>
          <${Findings} findings=${value.findings} onReload=${reload} />
          <${Verify} />
        </div>
        <aside class="side" aria-label="Limits and seal">
          <${Limits} limits=${value.limits} last=${value.last} />
          <${Seal} seal=${value.seal} hasSeal=${session.hasSeal} />
        </aside>
      </div>
    `}
  `;
}

/**
 * @param {{ findings: HealthReport["findings"], onReload: () => void }} properties
 * @returns {unknown}
 */
function Findings({ findings, onReload }) {
  return html`
    <${Panel} title="Findings" side=${html`<button type="button" onClick=${onReload}>Look again</button>`}>
      ${findings.length === 0 && html`<${Empty} title="Nothing weakens this store." />`}
      <ul class="findings">
        ${findings.map(({ code, severity, message, advice }) =>
          html`
            <li key=${code}>
              <span class=${`badge ${SEVERITIES[severity]}`}>${severity}</span> <code>${visible(code)}</code>
              <p>${visible(message)}</p>
              <p class="hint">${visible(advice)}</p>
            </li>
          `
        )}
      </ul>
    <//>
  `;
}

/**
 * Reads the whole log when asked to.
 *
 * @returns {unknown}
 */
function Verify() {
  const [progress, setProgress] = useState(/** @type {VerifyLive["progress"] | undefined} */ (undefined));
  const [report, setReport] = useState(/** @type {VerifyLive["report"] | undefined} */ (undefined));
  const [failure, setFailure] = useState(/** @type {ApiFailure | undefined} */ (undefined));
  const stream = useRef(/** @type {Stream | undefined} */ (undefined));
  const stop = () => {
    stream.current?.close();
    stream.current = undefined;
    setProgress(undefined);
  };
  useEffect(() => stop, []);
  const start = () => {
    setReport(undefined);
    setFailure(undefined);
    setProgress({ commits: 0, events: 0 });
    stream.current = new Stream({
      route: "api/verify",
      isOnce: true,
      handlers: {
        progress: setProgress,
        report: (result) => {
          stop();
          setReport(result);
        },
      },
      onFailed: (reason) => {
        stop();
        setFailure(reason);
      },
    });
  };
  return html`
    <${Panel} title="Is the log whole?" side=${progress
      ? html`<button type="button" onClick=${stop}>Stop</button>`
      : html`<button type="button" class="strong" onClick=${start}>Verify</button>`}>
      <${Failure} failure=${failure} />
      <div role="status">
        ${progress &&
          html`<p><progress aria-label="Verification"></progress> ${plural(progress.events, "event")} in ${
            plural(progress.commits, "commit")
          } read</p>`}
        ${report && html`<${Report} report=${report} />`}
      </div>
      ${!progress && !report &&
        html`<p class="hint">Reads the whole log, and compares each commit with its checksum.</p>`}
    <//>
  `;
}

/**
 * @param {{ report: VerifyLive["report"] }} properties
 * @returns {unknown}
 */
function Report({ report: { ok, commits, events, actors, faultCount } }) {
  const read = `${plural(events, "event")} in ${plural(commits, "commit")} of ${plural(actors, "actor")}`;
  return html`
    <p class=${`note ${ok ? "good" : "bad"}`}>${ok
      ? `The log is whole: ${read}.`
      : `The log is not whole: ${plural(faultCount, "fault")} in ${read}.`}</p>
    ${faultCount > 0 && html`<${Faults} />`}
    ${faultCount > MAX_FAULTS &&
      html`<p class="hint">The first ${
        count(MAX_FAULTS)
      } are listed. <code>aether verify</code> prints all.</p>`}
  `;
}

/**
 * What the last verification has found, page by page.
 *
 * @returns {unknown}
 */
function Faults() {
  const list = usePages(
    (
      after,
      signal,
    ) => /** @type {Promise<FaultPage>} */ (get("api/faults", { after, limit: FAULTS }, signal)),
    [],
  );
  return html`
    <${Failure} failure=${list.failure} onRetry=${list.reload} />
    <ul class="findings">${list.pages.flatMap(({ faults }) => faults).map(({ message }) =>
      html`
        <li>
          <p>${visible(message)}</p>
        </li>
      `
    )}</ul>
    <${MorePages} list=${list} what="faults" />
  `;
}

/**
 * @param {{ limits: HealthReport["limits"], last: string | null }} properties
 * @returns {unknown}
 */
function Limits({ limits, last }) {
  const rows = /** @type {const} */ ([
    ["Actors of a commit", limits.actorsPerCommit],
    ["Events of a commit", limits.eventsPerCommit],
    ["Bytes of a commit", limits.bytesPerCommit],
    ["Bytes of an event", limits.bytesPerEvent],
  ]);
  return html`
    <${Panel} title="Limits">
      <dl class="facts">
        ${rows.map(([name, value]) =>
          html`
            <dt>${name}</dt>
            <dd>${value === null ? "no limit" : count(value)}</dd>
          `
        )}
        <dt>Last position</dt>
        <dd class="code">${last === null
          ? "the log is empty"
          : html`<a href=${hrefOf("log", "", { position: last })}>${visible(last)}</a>`}</dd>
      </dl>
      <//>
  `;
}

/**
 * @param {{ seal: HealthReport["seal"], hasSeal: boolean }} properties
 * @returns {unknown}
 */
function Seal({ seal, hasSeal }) {
  return html`
    <${Panel} title="Last seal">
      ${seal
        ? html`
          <dl class="facts">
            <dt>Origin</dt>
            <dd>${visible(seal.origin)}</dd>
            <dt>Sealed</dt>
            <dd>${plural(seal.size, "event")}</dd>
            <dt>Up to</dt>
            <dd>${seal.timestamp === null ? "no event" : html`<${Time} timestamp=${seal.timestamp} />`}</dd>
            <dt>Root</dt>
            <dd class="code">${visible(seal.root)}</dd>
          </dl>
        `
        : html`<p class="hint">${
          hasSeal
            ? "The log has not been sealed yet."
            : html`To see it, start the studio with <code>--seal</code>.`
        }</p>`}
    <//>
  `;
}
