// @ts-check
/// <reference lib="dom" />
/** @import { Session } from "../api/mod.ts" */

/**
 * The page: its head, and one view at a time.
 *
 * @module
 */

import { Actor } from "./actor.js";
import { Actors } from "./actors.js";
import { get, useLoaded } from "./api.js";
import { Cluster } from "./cluster.js";
import { useConnection } from "./connection.js";
import { visible } from "./format.js";
import { Health } from "./health.js";
import { Log } from "./log.js";
import { html, render, useEffect, useErrorBoundary, useRef, useState } from "./preact.js";
import { Projections } from "./projections.js";
import { hrefOf, parseRoute } from "./route.js";
import { Failure } from "./ui.js";

/** The views that have a tab, in the order of their keys Alt+1 to Alt+5. */
const TABS = ["log", "actors", "projections", "cluster", "health"];
/** @type {Readonly<Record<string, { view: (properties: any) => unknown, title: string, tab: string }>>} */
const PAGES = {
  log: { view: Log, title: "Log", tab: "log" },
  actors: { view: Actors, title: "Actors", tab: "actors" },
  actor: { view: Actor, title: "Actor", tab: "actors" },
  projections: { view: Projections, title: "Projections", tab: "projections" },
  cluster: { view: Cluster, title: "Cluster", tab: "cluster" },
  health: { view: Health, title: "Health", tab: "health" },
};
const THEMES = ["system", "light", "dark"];
const THEME_KEY = "aether-studio-theme";

/**
 * The address of the page, and what changes it.
 *
 * @returns {[ReturnType<typeof parseRoute>, (href: string, isReplaced?: boolean) => void]}
 */
function useRoute() {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const onChange = () => setRoute(parseRoute(location.hash));
    addEventListener("hashchange", onChange);
    return () => removeEventListener("hashchange", onChange);
  }, []);
  /**
   * @param {string} href
   * @param {boolean} [isReplaced]
   */
  const go = (href, isReplaced = false) => {
    if (!isReplaced) return void (location.hash = href);
    history.replaceState(null, "", href);
    setRoute(parseRoute(href));
  };
  return [route, go];
}

/**
 * @returns {unknown}
 */
function Studio() {
  const [route, go] = useRoute();
  const session = useLoaded(
    async (signal) => {
      /** @type {Session} */
      const session = await get("api/session", {}, signal);
      return { session, offset: Date.parse(session.now) - Date.now() };
    },
    [],
  );
  const page = PAGES[route.page] ?? /** @type {typeof PAGES[string]} */ (PAGES["log"]);
  const title = page.view === Actor ? visible(route.id) : page.title;
  const heading = useRef(/** @type {HTMLHeadingElement | null} */ (null));
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${title} \u00b7 Aether studio`;
    if (!isFirst.current) heading.current?.focus({ preventScroll: true });
    isFirst.current = false;
  }, [title]);
  useEffect(() => {
    /** @param {KeyboardEvent} press */
    const onKeyDown = (press) => {
      const view = press.altKey && !press.ctrlKey && TABS[Number(/^Digit(\d)$/.exec(press.code)?.[1]) - 1];
      if (!view) return;
      press.preventDefault();
      go(hrefOf(view));
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
  const { value } = session;
  return html`
    <a class="skip" href="#main" onClick=${(/** @type {Event} */ click) => {
      click.preventDefault();
      heading.current?.focus();
    }}>Skip to the content</a>
    <${Head} tab=${page.tab} session=${value?.session} />
    <${ConnectionSign} />
    <main id="main">
      <h1 tabindex="-1" ref=${heading}>${page.view === Actor
        ? html`<span class="kind">Actor</span> ${title}`
        : title}</h1>
      ${value
        ? html`
          <${Guarded} key=${page.title}>
            <${page.view} route=${route} session=${value.session} offset=${value.offset} go=${go} />
            <//>
        `
        : html`<${Failure} failure=${session.failure} onRetry=${session.reload} />`}
    </main>
  `;
}

/**
 * @param {{ tab: string, session: Session | undefined }} properties
 * @returns {unknown}
 */
function Head({ tab, session }) {
  return html`
    <header class="head">
      <a class="brand" href=${hrefOf(
        "log",
      )}><img src="client/icon.svg" alt="" width="20" height="20" /> Aether</a>
      <nav aria-label="Views">
        ${TABS.map((name, index) =>
          html`<a href=${hrefOf(name)} aria-current=${
            name === tab ? "page" : undefined
          } aria-keyshortcuts=${`Alt+${index + 1}`} title=${`Alt+${index + 1}`}>${PAGES[name]?.title}</a>`
        )}
      </nav>
      ${session && html`
        <span class="target"
          title=${`${session.backend}: ${session.target}`}><span class="badge quiet">${visible(
            session.backend,
          )}</span> <span class="target-name">${visible(session.target)}</span> ${session.canWrite
            ? html`<span class="badge warn">can write</span>`
            : html`<span class="badge quiet">read-only</span>`}</span>
      `}
      <${ThemeButton} />
    </header>
  `;
}

/**
 * Light, dark, or as the system has it.
 *
 * @returns {unknown}
 */
function ThemeButton() {
  const [theme, setTheme] = useState(() => {
    try {
      return localStorage.getItem(THEME_KEY) ?? "system";
    } catch {
      return "system";
    }
  });
  useEffect(() => {
    document.documentElement.dataset["theme"] = theme;
    try {
      localStorage.setItem(THEME_KEY, theme);
    } catch {
      // the browser keeps nothing for this page
    }
  }, [theme]);
  const change = () => setTheme((before) => THEMES[(THEMES.indexOf(before) + 1) % THEMES.length] ?? "system");
  return html`
    <button type="button" class="theme"
      onClick=${change}><span class="narrow-hidden">Theme: </span>${theme}</button>
  `;
}

/**
 * Says that the connection was lost, and that it has come back.
 *
 * @returns {unknown}
 */
function ConnectionSign() {
  const { isConnected, message, returns } = useConnection();
  const [isBack, setBack] = useState(false);
  useEffect(() => {
    if (returns === 0) return;
    setBack(true);
    const timer = setTimeout(() => setBack(false), 5_000);
    return () => clearTimeout(timer);
  }, [returns]);
  return html`
    <div class="connection" role="status">
      ${!isConnected && html`<p class="note bad"><strong>Connection lost.</strong> ${visible(message)}</p>`}
      ${isConnected && isBack && html`<p class="note good">The connection is back.</p>`}
    </div>
  `;
}

/**
 * Keeps the head of the page when a view fails.
 *
 * @param {{ children?: unknown }} properties
 * @returns {unknown}
 */
function Guarded({ children }) {
  const [error, reset] = useErrorBoundary();
  if (!error) return children;
  console.error(error);
  return html`
    <div class="note bad" role="alert">
      <p>This view has a fault: ${visible(String(error))}</p>
      <button type="button" onClick=${reset}>Try again</button>
    </div>
  `;
}

render(html`<${Studio} />`, /** @type {HTMLElement} */ (document.getElementById("studio")));
