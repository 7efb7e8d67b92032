/** Options of a test's own request: without them nats.js gives one up after a second, and a busy server takes longer. */
export const PATIENT = { timeout: 60_000 };
