// @ts-check
/// <reference lib="dom" />
/** @import { ActorPage, Session } from "../api/mod.ts" */
/** @import { Route } from "./route.js" */

/**
 * The actors of the store, page by page, to choose one.
 *
 * @module
 */

import { get, usePages } from "./api.js";
import { count } from "./format.js";
import { html } from "./preact.js";
import { hrefOf } from "./route.js";
import { ActorLink, Empty, Failure, MorePages } from "./ui.js";

/** The actors of a page. */
const PAGE = 100;

/**
 * @param {{ route: Route, session: Session, go: (href: string) => void }} properties
 * @returns {unknown}
 */
export function Actors({ route, go }) {
  const { prefix = "" } = route.query;
  const list = usePages(
    (
      after,
      signal,
    ) => /** @type {Promise<ActorPage>} */ (get("api/actors", { prefix, after, limit: PAGE }, signal)),
    [prefix],
  );
  /** @param {SubmitEvent} submit */
  const onSubmit = (submit) => {
    submit.preventDefault();
    const id = String(new FormData(/** @type {HTMLFormElement} */ (submit.target)).get("actor") ?? "").trim();
    if (id.endsWith("*")) go(hrefOf("actors", "", { prefix: id.slice(0, -1) }));
    else if (id === "") go(hrefOf("actors"));
    else go(hrefOf("actor", id));
  };
  const { pages, next } = list;
  const actors = pages.flatMap((page) => page.actors);
  return html`
    <form class="toolbar" role="search" aria-label="Find an actor" onSubmit=${onSubmit}>
      <label>Actor <input name="actor" key=${prefix} defaultValue=${prefix &&
        `${prefix}*`} size="40" placeholder="order-17 opens it; order-* lists those" autocomplete="off" spellcheck="false" /></label>
      <button>Show</button>
      ${prefix && html`<a class="button" href=${hrefOf("actors")}>Show all</a>`}
    </form>
    <${Failure} failure=${list.failure} onRetry=${list.reload} />
    ${actors.length > 0 && html`
      <table class="rows actors">
        <thead>
          <tr>
            <th scope="col">Actor</th>
            <th scope="col" class="number">Version</th>
          </tr>
        </thead>
        <tbody>
          ${actors.map(({ actorId, latestVersion }) =>
            html`
              <tr key=${actorId}>
                <td>
                  <${ActorLink} actorId=${actorId} />
                </td>
                <td class="number">${count(latestVersion)}</td>
              </tr>
            `
          )}
        </tbody>
      </table>
    `}
    ${pages.length > 0 && actors.length === 0 && next === null && html`
      <${Empty} title=${prefix ? "No actor begins with that." : "There are no actors yet."}>
        <p>An actor is listed as soon as it has an event.</p>
        <//>
    `}
    <${MorePages} list=${list} what="actors" />
  `;
}
