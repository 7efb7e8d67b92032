/**
 * Work that is done once it finds something.
 *
 * @module
 */

/** The outcome of some work that found something; what found nothing is done again. */
export function remembered<T>(work: () => Promise<T | undefined>): () => Promise<T | undefined> {
  let found: Promise<T | undefined> | undefined;
  return async () => {
    const current = found ??= work();
    try {
      const value = await current;
      if (value === undefined) found = undefined;
      return value;
    } catch (error) {
      found = undefined;
      throw error;
    }
  };
}
