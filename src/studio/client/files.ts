/**
 * The files that the studio's server sends to the browser, as text: without a build step, a permission to read, or a file
 * from elsewhere.
 *
 * @module
 */

import preact from "htm/preact/standalone" with { type: "text" };
import icon from "./icon.svg" with { type: "text" };
import page from "./index.html" with { type: "text" };
import styles from "./studio.css" with { type: "text" };
import studio from "./studio.js" with { type: "text" };

/** A file of the page. */
export interface ClientFile {
  /** Its media type. */
  readonly type: string;
  /** What is in it. */
  readonly text: string;
}

const script = (text: string): ClientFile => ({ type: "text/javascript; charset=utf-8", text });

/** The page itself, which refers to the files as `client/NAME`. */
export const PAGE: ClientFile = { type: "text/html; charset=utf-8", text: page };

/** The files of the page by their names below `client/`. */
export const CLIENT_FILES: ReadonlyMap<string, ClientFile> = new Map([
  ["icon.svg", { type: "image/svg+xml", text: icon }],
  ["preact.js", script(preact)],
  ["studio.css", { type: "text/css; charset=utf-8", text: styles }],
  ["studio.js", script(studio)],
]);
