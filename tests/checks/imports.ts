/** Reads the import graph of the project's TypeScript files. */
import { dirname, join, relative } from "node:path/posix";

/** One import of one file by another, as paths from the project's root. */
export interface Import {
  readonly from: string;
  readonly to: string;
  /** Whether it vanishes when types are erased. */
  readonly typeOnly: boolean;
}

const statement =
  /\b(?:import|export)\s+(type\s+)?((?:[\w*\s{},$]|\btype\b)*?)\s*from\s*"(\.[^"]+)"/g;
const bare = /\bimport\s*\(?\s*"(\.[^"]+)"/g;

/** Imports of one source text, with targets resolved against `path`. */
export function importsOf(path: string, source: string): Import[] {
  const resolve = (specifier: string) => join(dirname(path), specifier);
  const imports = [...source.matchAll(statement)].map(([, type, names, specifier]) => ({
    from: path,
    to: resolve(specifier!),
    typeOnly: type !== undefined || isAllTypes(names!),
  }));
  const effects = [...source.matchAll(bare)].map(([, specifier]) => ({
    from: path,
    to: resolve(specifier!),
    typeOnly: false,
  }));
  return [...imports, ...effects];
}

function isAllTypes(names: string): boolean {
  const inner = names.match(/^\s*\{([\s\S]*)\}\s*$/)?.[1];
  if (inner === undefined) return false;
  const parts = inner.split(",").map((part) => part.trim()).filter((part) => part !== "");
  return parts.length > 0 && parts.every((part) => part.startsWith("type "));
}

/** Imports of every TypeScript file below `root`'s source folders. */
export function readImports(root: string, folders: readonly string[]): Import[] {
  return folders.flatMap((folder) => walk(join(root, folder))).flatMap((file) =>
    importsOf(relative(root, file), Deno.readTextFileSync(file))
  );
}

function walk(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory) return isForeign(entry.name) ? [] : walk(path);
    return entry.name.endsWith(".ts") ? [path] : [];
  });
}

/** AssemblyScript has its own module system; dependencies and caches are not ours. */
function isForeign(name: string): boolean {
  return name === "assembly" || name === "node_modules" || name.startsWith(".");
}
