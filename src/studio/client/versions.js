// @ts-check
/** @import { DamageRow, EventRow, HistoryPage } from "../api/mod.ts" */

/**
 * An actor's events by version, of which only those that were looked at are in memory.
 *
 * @module
 */

/** The versions of a block, which is read as one. */
const BLOCK = 100;
/** The most blocks in memory. */
const MAX_BLOCKS = 30;

/**
 * @typedef {object} Block
 * @property {Map<number, EventRow>} events
 * @property {Map<number, DamageRow>} damage
 * @property {number} latestVersion That of the actor when it was read.
 * @property {boolean} isWhole
 */

/** Reads and keeps blocks of an actor's events. */
export class Versions {
  /** @type {Map<number, Block>} */
  #blocks = new Map();
  /** @type {Map<number, Promise<void>>} */
  #reading = new Map();
  #read;
  #onChange;

  /**
   * @param {(from: number, to: number) => Promise<HistoryPage>} read Reads events of some versions, or the first of them.
   * @param {() => void} onChange Something was read.
   */
  constructor(read, onChange) {
    this.#read = read;
    this.#onChange = onChange;
  }

  /**
   * What is known of a version: its event, damage, `"none"` if it has no event, or `undefined` if it was not read.
   *
   * @param {number} version
   * @returns {EventRow | DamageRow | "none" | undefined}
   */
  at(version) {
    const block = this.#blocks.get(blockOf(version));
    const known = block?.events.get(version) ?? block?.damage.get(version);
    if (known) return known;
    return block?.isWhole && version <= block.latestVersion ? "none" : undefined;
  }

  /**
   * Reads what is missing of some versions.
   *
   * @param {number} from
   * @param {number} to
   * @returns {Promise<void>}
   */
  async load(from, to) {
    const blocks = [];
    for (let block = blockOf(from); block <= blockOf(to); block++) blocks.push(this.#load(block, to));
    await Promise.all(blocks);
  }

  /**
   * Adds events that were appended, none left out.
   *
   * @param {readonly EventRow[]} events
   */
  add(events) {
    for (const event of events) {
      const block = this.#blocks.get(blockOf(event.version));
      if (!block) continue;
      block.events.set(event.version, event);
      block.latestVersion = Math.max(block.latestVersion, event.version);
    }
    this.#onChange();
  }

  /** Forgets everything. */
  clear() {
    this.#blocks.clear();
    this.#onChange();
  }

  /**
   * @param {number} index
   * @param {number} to
   * @returns {Promise<void>}
   */
  #load(index, to) {
    const known = this.#blocks.get(index);
    const last = (index + 1) * BLOCK;
    if (known?.isWhole && known.latestVersion >= Math.min(to, last)) return Promise.resolve();
    const reading = this.#reading.get(index) ??
      this.#readBlock(index * BLOCK + 1, last, index).finally(() => this.#reading.delete(index));
    this.#reading.set(index, reading);
    return reading;
  }

  /**
   * @param {number} first
   * @param {number} last
   * @param {number} index
   */
  async #readBlock(first, last, index) {
    /** @type {Block} */
    const block = { events: new Map(), damage: new Map(), latestVersion: 0, isWhole: false };
    for (let from = /** @type {number | null} */ (first); from !== null && from <= last;) {
      const page = await this.#read(from, last);
      for (const event of page.events) block.events.set(event.version, event);
      for (const place of page.damage) {
        if (place.version !== undefined) block.damage.set(place.version, place);
      }
      block.latestVersion = Math.min(last, page.latestVersion);
      from = page.next;
    }
    block.isWhole = true;
    this.#blocks.delete(index);
    this.#blocks.set(index, block);
    const oldest = this.#blocks.keys().next().value;
    if (this.#blocks.size > MAX_BLOCKS && oldest !== undefined) this.#blocks.delete(oldest);
    this.#onChange();
  }
}

/**
 * Whether what is known of a version is its event.
 *
 * @param {ReturnType<Versions["at"]>} known
 * @returns {known is EventRow}
 */
export function isEvent(known) {
  return typeof known === "object" && "eventType" in known;
}

/**
 * @param {number} version
 * @returns {number}
 */
function blockOf(version) {
  return Math.floor((version - 1) / BLOCK);
}
