/**
 * Makes one script of the page's modules when the server starts, without a build step: a browser that has to ask for each of
 * them paints later.
 *
 * The modules are written so that this can be done by line: an import or an export is at the beginning of a line, and names
 * what it exports.
 *
 * @module
 */

const IMPORT = /^import (?:\* as (\w+)|\{([^}]*)\}) from "\.\/([^"]+)";\n/gm;
const EXPORT = /^export (?=(?:async )?(?:function|class|const) (\w+))/gm;
/** The end of a package's file, which has several names at once. */
const EXPORT_LIST = /export\s*\{([^}]*)\};?\s*$/;
/** Comments that fill whole lines are a third of a module, and are not sent. */
const COMMENTS = /^ *\/\*\*(?:(?!\*\/)[^])*\*\/\n/gm;

/**
 * Makes one script of modules that import each other. Each one is a function that returns what it exports.
 *
 * @param modules Their texts by name.
 * @param entry The one that imports the others.
 */
export function bundle(modules: Readonly<Record<string, string>>, entry: string): string {
  const names = new Map<string, string>();
  const parts: string[] = [];
  const add = (file: string): string => {
    const known = names.get(file);
    if (known !== undefined) return known;
    const text = modules[file];
    if (text === undefined) throw new Error(`There is no module ${file}.`);
    const name = `$${file.replace(/\W/g, "_")}`;
    names.set(file, name);
    const exported: string[] = [];
    const body = text.replace(COMMENTS, "")
      .replace(IMPORT, (_, all: string | undefined, some: string, from: string) => {
        return `const ${all ?? `{${some.replace(/ as /g, ": ")}}`} = ${add(from)};\n`;
      })
      .replace(EXPORT, (_, each: string) => {
        exported.push(each);
        return "";
      })
      .replace(EXPORT_LIST, (_, list: string) => {
        exported.push(
          list.replace(/([\w$]+) as ([\w$]+)/g, (_, local: string, each: string) => `${each}: ${local}`),
        );
        return "";
      });
    parts.push(`const ${name} = (() => {\n${body}\nreturn { ${exported.join(", ")} };\n})();\n`);
    return name;
  };
  add(entry);
  return parts.join("");
}
