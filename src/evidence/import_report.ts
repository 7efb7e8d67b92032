/**
 * What an import did.
 *
 * @module
 */

/**
 * What an import did.
 *
 * @category Evidence
 */
export interface ImportReport {
  /** How many events are in the export, and in the store. */
  readonly events: number;
  /** How many of them this run stored; the rest was in the store before. */
  readonly imported: number;
  /** The position of the last event in the store: positions belong to their log, and are not carried over. */
  readonly lastPosition: string | undefined;
}
