/**
 * What a browser may do with an answer.
 *
 * @module
 */

/** The header of the Content-Security-Policy. */
export const POLICY = "content-security-policy";

/** A policy that allows only what is named. */
export function policyWith(allowed: string): string {
  return `default-src 'none'; ${allowed}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
}

const HEADERS: Readonly<Record<string, string>> = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};
/** The policy of what is no page. */
const NOTHING = policyWith("script-src 'none'");

/** Adds what a browser may do with an answer; a policy of its own is kept. */
export function secured(response: Response): Response {
  for (const [name, value] of Object.entries(HEADERS)) response.headers.set(name, value);
  if (!response.headers.has(POLICY)) response.headers.set(POLICY, NOTHING);
  return response;
}
