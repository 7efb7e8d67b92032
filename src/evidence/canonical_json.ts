/**
 * JSON with one text for each value: the canonical form of RFC 8785, which other programs can make too.
 *
 * @module
 */

/** The canonical text of a JSON value. Members whose value is `undefined` are left out. */
export function canonicalJson(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  let text = "";
  if (Array.isArray(value)) {
    for (const item of value) text += (text === "" ? "" : ",") + canonicalJson(item);
    return `[${text}]`;
  }
  const members = value as Readonly<Record<string, unknown>>;
  // By UTF-16 code units, as RFC 8785 sorts.
  for (const name of Object.keys(members).sort()) {
    const member = members[name];
    if (member !== undefined) {
      text += `${text === "" ? "" : ","}${JSON.stringify(name)}:${canonicalJson(member)}`;
    }
  }
  return `{${text}}`;
}
