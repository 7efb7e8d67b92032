/**
 * The files that the studio's server sends to the browser, as text: without a build step, a permission to read, or a file
 * from elsewhere.
 *
 * @module
 */

import { bundle } from "./bundle.ts";
import preact from "htm/preact/standalone" with { type: "text" };
import actor from "./actor.js" with { type: "text" };
import actorAt from "./actor_at.js" with { type: "text" };
import actors from "./actors.js" with { type: "text" };
import api from "./api.js" with { type: "text" };
import causes from "./causes.js" with { type: "text" };
import chart from "./chart.js" with { type: "text" };
import cluster from "./cluster.js" with { type: "text" };
import connection from "./connection.js" with { type: "text" };
import fold from "./fold.js" with { type: "text" };
import format from "./format.js" with { type: "text" };
import health from "./health.js" with { type: "text" };
import json from "./json.js" with { type: "text" };
import log from "./log.js" with { type: "text" };
import logActivity from "./log_activity.js" with { type: "text" };
import logRows from "./log_rows.js" with { type: "text" };
import logTable from "./log_table.js" with { type: "text" };
import logTail from "./log_tail.js" with { type: "text" };
import logWindow from "./log_window.js" with { type: "text" };
import parked from "./parked.js" with { type: "text" };
import projections from "./projections.js" with { type: "text" };
import route from "./route.js" with { type: "text" };
import stream from "./stream.js" with { type: "text" };
import studio from "./studio.js" with { type: "text" };
import timeline from "./timeline.js" with { type: "text" };
import ui from "./ui.js" with { type: "text" };
import versions from "./versions.js" with { type: "text" };
import window from "./window.js" with { type: "text" };
import icon from "./icon.svg" with { type: "text" };
import page from "./index.html" with { type: "text" };
import styles from "./studio.css" with { type: "text" };

/** A file that is sent. */
export interface ClientFile {
  /** Its media type. */
  readonly type: string;
  /** What is in it. */
  readonly text: string;
}

/** The page, with its script and its style in it. */
export interface PageFile extends ClientFile {
  /** The script. */
  readonly script: string;
  /** The style. */
  readonly style: string;
}

const SCRIPTS = {
  "preact.js": preact,
  "actor.js": actor,
  "actor_at.js": actorAt,
  "actors.js": actors,
  "api.js": api,
  "causes.js": causes,
  "chart.js": chart,
  "cluster.js": cluster,
  "connection.js": connection,
  "fold.js": fold,
  "format.js": format,
  "health.js": health,
  "json.js": json,
  "log.js": log,
  "log_activity.js": logActivity,
  "log_rows.js": logRows,
  "log_table.js": logTable,
  "log_tail.js": logTail,
  "log_window.js": logWindow,
  "parked.js": parked,
  "projections.js": projections,
  "route.js": route,
  "stream.js": stream,
  "studio.js": studio,
  "timeline.js": timeline,
  "ui.js": ui,
  "versions.js": versions,
  "window.js": window,
};

/** The page: a browser that asks for its script and its style one after the other paints later. */
export const PAGE: PageFile = pageOf(bundle(SCRIPTS, "studio.js"), styles);

function pageOf(script: string, style: string): PageFile {
  const text = page.replace("<style></style>", () => `<style>${style}</style>`)
    .replace('<script type="module"></script>', () => `<script type="module">${script}</script>`);
  return { type: "text/html; charset=utf-8", text, script, style };
}

/** The files that the page refers to as `client/NAME`. */
export const CLIENT_FILES: ReadonlyMap<string, ClientFile> = new Map([
  ["icon.svg", { type: "image/svg+xml", text: icon }],
]);
