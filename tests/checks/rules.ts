/** The rules of layering: imports point down, pass through doors, and run in no circle. */
import { dirname } from "node:path/posix";
import type { Import } from "./imports.ts";

/** Layers, lowest first; folders of one layer do not know each other. */
const layers: readonly (readonly string[])[] = [["kernels", "runtime"], ["actors"], ["examples"], [
  "bench",
]];

/** Layers whose folders are parts of their own: each has a door, and the layer has none. */
const doorless: readonly string[] = ["examples"];

/** Folders in which the rules hold. */
export const checkedFolders: readonly string[] = layers.flat();

/** One line for each import that breaks a rule. */
export function violations(imports: readonly Import[]): string[] {
  return [...imports.flatMap((edge) => breach(edge)), ...cycles(imports)];
}

function breach({ from, to }: Import): string[] {
  const [source, target] = [from, to].map((path) => path.split("/")[0]!);
  const [above, below] = [source!, target!].map((name) =>
    layers.findIndex((layer) => layer.includes(name))
  );
  if (below! > above!) return [`${from} imports up: ${to}`];
  if (below === above && source !== target) return [`${from} imports sideways: ${to}`];
  if (!passesDoor(from, to)) return [`${from} imports past a door: ${to}`];
  return [];
}

/**
 * A file of the same or an enclosing folder is in reach; any other only by its folder's `mod.ts`, which is
 * that of the part in a layer without a door.
 */
function passesDoor(from: string, to: string): boolean {
  let common = dirname(from);
  while (common !== "." && !to.startsWith(`${common}/`)) common = dirname(common);
  const rest = common === "." ? to : to.slice(common.length + 1);
  const depth = rest.split("/").length;
  const door = doorless.some((layer) => rest.startsWith(`${layer}/`)) ? 3 : 2;
  return depth === 1 || (depth === door && rest.endsWith("/mod.ts"));
}

/** Circles of imports that remain at run time. */
function cycles(imports: readonly Import[]): string[] {
  const graph = Map.groupBy(imports.filter((edge) => !edge.typeOnly), (edge) => edge.from);
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (file: string, trail: readonly string[]) => {
    const at = trail.indexOf(file);
    if (at >= 0) found.push(`import circle: ${[...trail.slice(at), file].join(" -> ")}`);
    if (at >= 0 || done.has(file)) return;
    for (const { to } of graph.get(file) ?? []) visit(to, [...trail, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  return found;
}
