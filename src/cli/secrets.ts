/**
 * What must not be printed: users, passwords and tokens in the URL of a target.
 *
 * @module
 */

/** A user, a password or a token in a URL; a password may have any character, so it ends at the last `@`. */
const USER_INFO = /\b([a-z][a-z0-9+.-]*:\/\/)[^\s"'`,]*@/gi;
const ONE_URL = /^([a-z][a-z0-9+.-]*:\/\/).*@/i;
/** A shorter text is part of other words: what it is in is replaced as a whole. */
const LEAST_LENGTH = 4;
const HIDDEN = "***";

/** A target without what is secret in it. */
export function shownTarget(target: string): string {
  return target.replace(ONE_URL, "$1");
}

/** Returns what hides the secrets of the arguments, and of all URLs, in a text. */
export function hider(args: readonly string[]): (text: string) => string {
  const secrets = new Set<string>();
  for (const arg of args) {
    const userInfo = ONE_URL.exec(arg)?.[0].replace(/^[^/]*\/\//, "").slice(0, -1);
    if (!userInfo) continue;
    const password = userInfo.slice(userInfo.indexOf(":") + 1);
    for (const secret of [userInfo, password, decoded(password)]) {
      if (secret.length >= LEAST_LENGTH) secrets.add(secret);
    }
  }
  const ordered = [...secrets].sort((a, b) => b.length - a.length);
  return (text) =>
    ordered.reduce((shown, secret) => shown.replaceAll(secret, HIDDEN), text)
      .replace(USER_INFO, "$1");
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
