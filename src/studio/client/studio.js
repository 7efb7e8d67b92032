// @ts-check
/// <reference lib="dom" />
import { html, render } from "./preact.js";

render(html`<h1>Aether studio</h1>`, /** @type {HTMLElement} */ (document.getElementById("studio")));
