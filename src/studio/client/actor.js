// @ts-check
/// <reference lib="dom" />
/** @import { EventRow, Given, HistoryPage, Session } from "../api/mod.ts" */
/** @import { ApiFailure } from "./api.js" */
/** @import { Route } from "./route.js" */

/**
 * An actor: what happened to it, and what it was like at each version.
 *
 * @module
 */

import { ActorAt } from "./actor_at.js";
import { get, useLoaded } from "./api.js";
import { count, plural, visible } from "./format.js";
import { html, useEffect, useMemo, useState } from "./preact.js";
import { hrefOf } from "./route.js";
import { useStream } from "./stream.js";
import { Timeline } from "./timeline.js";
import { CopyButton, Empty, Failure } from "./ui.js";
import { isEvent, Versions } from "./versions.js";

const PREVIOUS = "\u2039";
const NEXT = "\u203a";

/**
 * The view of an actor.
 *
 * @param {{ route: Route, session: Session, go: (href: string, isReplaced?: boolean) => void }} properties
 * @returns {unknown}
 */
export function Actor({ route, session, go }) {
  const { id: actorId } = route;
  const first = useLoaded(
    (signal) => /** @type {Promise<HistoryPage>} */ (get("api/actor", { actor: actorId, limit: 1 }, signal)),
    [actorId],
  );
  if (first.failure?.code === "not-found") {
    return html`
      <${Empty} title=${`There is no actor "${visible(actorId)}".`}>
        <p>An actor exists when it has an event. <a href=${hrefOf(
          "actors",
        )}>Look for it in the list of actors</a></p>
        <//>
    `;
  }
  return html`
    <${Failure} failure=${first.failure} onRetry=${first.reload} />
    ${first.value && first.value.actorId === actorId &&
      html`
        <${History} key=${actorId} first=${first.value} route=${route} session=${session} go=${go}
          onReload=${first.reload} />
      `}
  `;
}

/**
 * @param {{
 *   first: HistoryPage,
 *   route: Route,
 *   session: Session,
 *   go: (href: string, isReplaced?: boolean) => void,
 *   onReload: () => void,
 * }} properties
 * @returns {unknown}
 */
function History({ first, route, session, go, onReload }) {
  const { id: actorId, query } = route;
  const [latest, setLatest] = useState(first.latestVersion);
  const [changes, setChanges] = useState(0);
  const [failure, setFailure] = useState(/** @type {ApiFailure | undefined} */ (undefined));
  const versions = useMemo(
    () =>
      new Versions(
        (from, to) => get("api/actor", { actor: actorId, from, to, direction: "forward", limit: 100 }),
        () => setChanges((before) => before + 1),
      ),
    [actorId],
  );
  useEffect(() => {
    setLatest(first.latestVersion);
    versions.clear();
  }, [first]);
  const stream = useStream("api/log/live", { actor: actorId, after: first.events.at(-1)?.position }, {
    events: (/** @type {EventRow[]} */ events) => {
      versions.add(events);
      setLatest((before) => Math.max(before, ...events.map(({ version }) => version)));
    },
    gap: () => versions.clear(),
  }, [actorId, first]);

  const asked = Number(query["version"]);
  const isFollowing = !(asked >= 1);
  const selected = isFollowing ? latest : Math.min(latest, Math.floor(asked));
  /** @param {Record<string, string | number | undefined>} change */
  const show = (change) => go(hrefOf("actor", actorId, { ...query, ...change }), true);
  const select = (/** @type {number} */ version) =>
    show({ version: version === latest ? undefined : version });
  const given = async () => {
    /** @type {Given} */
    const { text, events, isCut } = await get("api/actor/given", { actor: actorId, to: selected });
    return {
      text,
      note: isCut ? `Copied the first ${plural(events, "event")} only` : `Copied ${plural(events, "event")}`,
    };
  };
  return html`
    <div class="toolbar">
      <${VersionSlider} latest=${latest} selected=${selected} versions=${versions} onSelect=${select} />
      <span class=${isFollowing ? "live" : "live paused"}>${isFollowing
        ? "Latest"
        : `Version ${count(selected)} of ${count(latest)}`}</span>
      <${CopyButton} text=${given} onFailed=${setFailure}>Copy as test<//>
    </div>
    <${Failure} failure=${failure ?? stream.failure} onRetry=${stream.failure && onReload} />
    <div class="split even">
      <section class="panel" aria-label="Timeline">
        <${Timeline} versions=${versions} latest=${latest} selected=${selected} changes=${changes} onSelect=${select} onFailed=${setFailure} />
      </section>
      <${ActorAt} actorId=${actorId} version=${selected} query=${query} session=${session} onChange=${show} />
    </div>
  `;
}

/**
 * Chooses a version.
 *
 * @param {{ latest: number, selected: number, versions: Versions, onSelect: (version: number) => void }} properties
 * @returns {unknown}
 */
function VersionSlider({ latest, selected, versions, onSelect }) {
  const known = versions.at(selected);
  const type = isEvent(known) ? `, ${visible(known.eventType)}` : "";
  /** @param {Event} input */
  const onInput = ({ target }) => onSelect(Number(/** @type {HTMLInputElement} */ (target).value));
  return html`
    <div class="slider">
      <button type="button" aria-label="Previous version" disabled=${selected <= 1}
        onClick=${() => onSelect(selected - 1)}>${PREVIOUS}</button>
      <input
        type="range"
        min="1"
        max=${latest}
        value=${selected}
        aria-label="Version"
        aria-valuetext=${`Version ${selected}${type}`}
        onInput=${onInput}
      />
      <button type="button" aria-label="Next version" disabled=${selected >= latest}
        onClick=${() => onSelect(selected + 1)}>${NEXT}</button>
    </div>
  `;
}
