/**
 * The names of the store's subjects, which are those of the bus too.
 *
 * @module
 */

export * from "../../event/subject.ts";
