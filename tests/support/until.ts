/** Waits for a condition; the bound is generous, since machines are slow at times. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  bound = 60_000,
): Promise<void> {
  const deadline = performance.now() + bound;
  while (!await holds()) {
    if (performance.now() > deadline) throw new Error(`after ${bound} ms still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
