/**
 * What records say of segments.
 *
 * @module
 */

/** Separates a projection's name from its segment; no projection's name has it. */
export const SEPARATOR = "\u001f";
/** The most segments of a projection. */
export const MAX_SEGMENTS = 1_024;

/** A number of segments, and which of the numbers that the projection has had it is. */
export interface Generation {
  /** From 1. */
  readonly generation: number;
  /** How many segments. */
  readonly count: number;
}

/** The segments of a projection. */
export interface Layout extends Generation {
  /** Those before, the latest first, as long as records may have to be made of theirs. */
  readonly before: readonly Generation[];
}

/** One segment. */
export interface Segment extends Generation {
  /** From 0. */
  readonly index: number;
}

/** How far a segment was that another one was made of. */
export interface Ahead {
  /** The segment. */
  readonly index: number;
  /** Of how many. */
  readonly count: number;
  /** Everything up to here is done. */
  readonly position?: string | undefined;
  /** What is done behind it. */
  readonly done?: readonly { readonly after: string; readonly to: string }[] | undefined;
}

/** A process that works on segments. */
export interface SegmentWorker {
  /** Names it. */
  readonly id: string;
  /** Changes while it lives. */
  readonly beat: number;
}

/** A projection, or the record of one of its segments. */
interface Named {
  readonly name: string;
  readonly version: number;
}

/** The key of the record of a segment. */
export function segmentId(
  { name, version }: Named,
  { generation, index, count }: Segment,
): Named {
  return { name: [name, generation, index, count].join(SEPARATOR), version };
}

/** The projection that a record is of, and which segment if it is one of these. */
export function segmentOf(
  { name, version }: Named,
): { readonly id: Named; readonly segment?: Segment } {
  const [base, generation, index, count] = name.split(SEPARATOR);
  if (count === undefined) return { id: { name, version } };
  const segment = { generation: Number(generation), index: Number(index), count: Number(count) };
  return { id: { name: base!, version }, segment };
}
