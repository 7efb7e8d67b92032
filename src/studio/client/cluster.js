// @ts-check
/// <reference lib="dom" />
/** @import { ClusterLive, ClusterPicture, LeasePage, NodeRow, Session, ShardMove } from "../api/mod.ts" */
/** @import { Route } from "./route.js" */

/**
 * The nodes of a cluster, and which shards they have.
 *
 * @module
 */

import { count, duration, plural, visible } from "./format.js";
import { html, useState } from "./preact.js";
import { useStream } from "./stream.js";
import { Empty, Failure, NextPage, Panel, Table, useNow } from "./ui.js";

/** How many moves are listed. */
const MOVES = 50;
/** The leases of a page. */
const LEASES = 50;
/** How long a shard that has moved is marked, in milliseconds. */
const MARKED = 4_000;
/** The shards of a line of the grid. */
const COLUMNS = 32;

const LEASE_COLUMNS = { Lease: "", Holder: "", Token: "number", Renewed: "", Held: "" };

const ARROW = "\u2192";

/** @typedef {ShardMove & { at: number }} SeenMove */

/**
 * The view of a cluster.
 *
 * @param {{ route: Route, session: Session }} properties
 * @returns {unknown}
 */
export function Cluster({ route, session }) {
  const { after } = route.query;
  const [cluster, setCluster] = useState(/** @type {ClusterPicture | undefined} */ (undefined));
  const [moves, setMoves] = useState(/** @type {readonly SeenMove[]} */ ([]));
  const [selected, setSelected] = useState(/** @type {string | undefined} */ (undefined));
  const now = useNow(0);
  const { failure, restart } = useStream(session.hasCluster ? "api/cluster/live" : undefined, {
    after,
    limit: LEASES,
  }, {
    cluster: setCluster,
    moves: (/** @type {ShardMove[]} */ added) => {
      const at = Date.now();
      setMoves((before) => [...added.map((move) => ({ ...move, at })).reverse(), ...before].slice(0, MOVES));
      setCluster((before) => before && withMoves(before, added));
    },
    leases: (/** @type {ClusterLive["leases"]} */ { leases, nextLease, activeActors }) =>
      setCluster((before) =>
        before && {
          ...before,
          ...{ leases, nextLease },
          nodes: before.nodes.map((node) => ({
            ...node,
            activeActors: activeActors[node.name] ?? node.activeActors,
          })),
        }
      ),
  }, [after]);
  if (!session.hasCluster) {
    return html`
      <${Empty} title="The studio does not know a cluster.">
        <p>A target on NATS has one if its programs join it. Elsewhere, pass <code>coordinator</code> to <code>studio()</code>.</p>
        <p>A file of Deno KV has no cluster, and its leases are not shown: a process judges a lease by how long it has watched it.</p>
        <//>
    `;
  }
  return html`
    <${Failure} failure=${failure} onRetry=${restart} />
    ${cluster && html`
      <div class="split">
        <div>
          <${Nodes} nodes=${cluster.nodes} selected=${selected} onSelect=${setSelected} />
          <${Shards} cluster=${cluster} selected=${selected} moves=${moves} now=${now} />
          <${Leases} page=${cluster} after=${after} />
        </div>
        <aside class="side" aria-label="What moves">
          <${Moves} moves=${moves} now=${now} />
        </aside>
      </div>
    `}
  `;
}

/**
 * A cluster after some moves. The next whole picture replaces it.
 *
 * @param {ClusterPicture} cluster
 * @param {readonly ShardMove[]} moves
 * @returns {ClusterPicture}
 */
export function withMoves(cluster, moves) {
  const owners = [...cluster.owners];
  for (const { shard, to } of moves) {
    owners[shard] = to === null ? -1 : cluster.nodes.findIndex(({ name }) => name === to);
  }
  const nodes = cluster.nodes.map((node, index) => ({
    ...node,
    shards: owners.filter((owner) => owner === index).length,
  }));
  return { ...cluster, owners, nodes };
}

/**
 * @param {{ nodes: readonly NodeRow[], selected: string | undefined, onSelect: (name: string | undefined) => void }} properties
 * @returns {unknown}
 */
function Nodes({ nodes, selected, onSelect }) {
  if (nodes.length === 0) {
    return html`
      <${Empty} title="The cluster has no nodes at the moment.">
        <p>They are shown here when a program joins.</p>
        <//>
    `;
  }
  const hasAddress = nodes.some(({ address }) => address !== "");
  const hasMetadata = nodes.some(({ metadata }) => Object.keys(metadata).length > 0);
  const columns = {
    ...{ Node: "", State: "", Shards: "number", "Active actors": "number", Weight: "number" },
    ...(hasAddress && { Address: "" }),
    ...(hasMetadata && { Metadata: "" }),
  };
  const rows = nodes.map((node, index) =>
    html`
      <tr key=${node.name} class=${node.name === selected ? "open" : ""}>
        <th
          scope="row"><button type="button" class="plain toggle" aria-pressed=${node.name ===
              selected
            ? "true"
            : "false"} onClick=${() =>
            onSelect(node.name === selected ? undefined : node.name)}><span class=${`swatch colour-${
            index % 8
          }`} aria-hidden="true">${letterOf(index)}</span>${visible(node.name)}</button></th>
        <td>${node.isLeader && html`<span class="badge info">leader</span>`} ${node.draining &&
          html`<span class="badge warn">draining</span>`}</td>
        <td class="number">${count(node.shards)}</td>
        <td class="number">${node.activeActors === null ? "?" : count(node.activeActors)}</td>
        <td class="number">${node.weight}</td>
        ${hasAddress && html`<td class="code">${visible(node.address)}</td>`}
        ${hasMetadata && html`<td class="code">${metadataText(node)}</td>`}
      </tr>
    `
  );
  return html`
    <${Panel} title=${plural(nodes.length, "node")}>
      <${Table} label="Table of nodes" columns=${columns}>${rows}<//>
    <//>
  `;
}

/**
 * @param {NodeRow} node
 * @returns {string}
 */
function metadataText({ metadata }) {
  return Object.entries(metadata).map(([name, value]) => `${visible(name)}=${visible(value)}`).join(" ");
}

/**
 * A node's letter in the grid, beside its colour.
 *
 * @param {number} index
 * @returns {string}
 */
function letterOf(index) {
  return String.fromCharCode(65 + index % 26);
}

/**
 * The shards as a grid: a cell each, with the colour and the letter of its node.
 *
 * @param {{ cluster: ClusterPicture, selected: string | undefined, moves: readonly SeenMove[], now: number }} properties
 * @returns {unknown}
 */
function Shards({ cluster: { owners, nodes }, selected, moves, now }) {
  if (owners.length === 0) {
    return html`
      <${Panel} title="Shards">
        <p class="hint">Shards are given to nodes when the cluster has a leader.</p>
        <//>
    `;
  }
  const marked = new Set(moves.filter(({ at }) => now - at < MARKED).map(({ shard }) => shard));
  const without = owners.filter((owner) => owner < 0).length;
  const columns = Math.min(COLUMNS, owners.length);
  const lines = Math.ceil(owners.length / columns);
  const label = `${plural(owners.length, "shard")}: ${
    nodes.map(({ name, shards }) => `${visible(name)} has ${shards}`).join(", ")
  }${without > 0 ? `, ${without} have no node` : ""}`;
  return html`
    <${Panel} title=${plural(owners.length, "shard")} side=${without > 0 &&
      html`<span class="badge warn">${count(without)} without a node</span>`}>
      <svg class="grid" role="img" aria-label=${label} viewBox=${`0 0 ${columns * 22} ${lines * 22}`}>
        ${owners.map((owner, shard) => {
          const node = nodes[owner];
          const isDim = selected !== undefined && node?.name !== selected;
          const [x, y] = [shard % columns * 22, Math.floor(shard / columns) * 22];
          return html`
            <g key=${shard} class=${`cell ${isDim ? "dim" : ""} ${marked.has(shard) ? "moved" : ""}`}>
              <title>${`Shard ${shard}: ${node ? visible(node.name) : "no node"}`}</title>
              <rect class=${node ? `colour-${owner % 8}` : "fill-none"} x=${x + 1} y=${y +
                1} width="20" height="20" rx="3" />
              <text x=${x + 11} y=${y + 15}>${node ? letterOf(owner) : ""}</text>
            </g>
          `;
        })}
      </svg>
      <//>
  `;
}

/**
 * @param {{ moves: readonly SeenMove[], now: number }} properties
 * @returns {unknown}
 */
function Moves({ moves, now }) {
  return html`
    <${Panel} title="Moves">
      ${moves.length === 0 && html`<p class="hint">Shards that move are listed here as it happens.</p>`}
      <ul class="moves scroll" tabindex="0" aria-label="Moves, the latest first">
        ${moves.map(({ shard, from, to, at }) =>
          html`<li>Shard ${shard}: ${from === null ? "no node" : visible(from)} ${ARROW} ${
            to === null ? "no node" : visible(to)
          } <span class="hint">${agoText(now - at)}</span></li>`
        )}
      </ul>
    <//>
  `;
}

/**
 * @param {number} age In milliseconds.
 * @returns {string}
 */
function agoText(age) {
  return age < 1_000 ? "now" : `${duration(age)} ago`;
}

/**
 * @param {{ page: LeasePage, after: string | undefined }} properties
 * @returns {unknown}
 */
function Leases({ page: { leases, nextLease }, after }) {
  const rows = leases.map(({ key, name, holder, token, renewed, held }) =>
    html`
      <tr key=${key}>
        <td>${visible(name)}</td>
        <td>${visible(holder)}</td>
        <td class="number code">${token}</td>
        <td>${renewed === null
          ? html`<span class="hint">not seen yet</span>`
          : `${duration(renewed)} ago`}</td>
        <td>${duration(held)}</td>
      </tr>
    `
  );
  return html`
    <${Panel} title="Leases">
      ${leases.length === 0 &&
        html`<p class="hint">${after ? "There are no more leases." : "No lease is held."}</p>`}
      ${leases.length > 0 && html`
        <${Table} label="Table of leases" columns=${LEASE_COLUMNS}>${rows}<//>
      `}
      <${NextPage} view="cluster" what="leases" after=${after} next=${nextLease} />
    <//>
  `;
}
