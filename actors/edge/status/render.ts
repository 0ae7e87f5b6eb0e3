import type { ClusterView } from "../desk/mod.ts";

type Row = readonly string[];

/** A cluster for people, in at most a screen a node. */
export function renderCluster(view: ClusterView): string {
  const { asked, leader, epoch, version, health } = view;
  const led = leader === null ? "led by nobody at the moment" : `led by ${leader}`;
  const state = health.healthy ? "healthy" : "NOT HEALTHY";
  return [
    `${state}: ${asked} (${version}) knows ${health.nodes} nodes, ${led}, epoch ${epoch}`,
    ...section("NODES", nodeRows(view)),
    ...section("MODELS", modelRows(view)),
    ...section("REFUSED", Object.entries(view.refused).map(([node, why]) => [node, why])),
    ...section("PROBLEMS", view.problems.map((problem) => [problem])),
  ].join("\n");
}

function section(title: string, rows: readonly Row[]): string[] {
  return rows.length === 0 ? [] : ["", title, ...align(rows)];
}

function nodeRows({ nodes }: ClusterView): Row[] {
  return nodes.map(({ name, version, draining, devices, hosts }) => [
    name,
    version,
    draining ? "draining" : "serving",
    devices.map(({ name, memory_bytes, bytes_per_second }) =>
      `${name} ${gigabytes(memory_bytes)}, ${gigabytes(bytes_per_second)}/s`
    ).join("; "),
    Object.entries(hosts).map(([kind, count]) => `${count} ${kind}`).join(", ") || "nothing",
  ]);
}

function modelRows({ models }: ClusterView): Row[] {
  return models.flatMap(({ id, threshold, replicas }) => [
    [id, threshold === null ? "accepts all" : `accepts from ${threshold.toFixed(4)}`],
    ...replicas.toSorted(byAddress).map((replica): Row => [
      `  ${replica.address}`,
      replica.up ? "up" : "DOWN",
      `${replica.running} running`,
      `${replica.waiting} waiting`,
      `${replica.pages_used}/${replica.pages_total} pages`,
      replica.parts.join("; "),
    ]),
  ]);
}

function byAddress(a: { address: string }, b: { address: string }): number {
  return a.address < b.address ? -1 : 1;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}

/** Cells of a column begin at the same place. A row of two cells is a heading and widens nothing. */
function align(rows: readonly Row[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    if (row.length <= 2 && rows.some(({ length }) => length > 2)) continue;
    row.forEach((cell, at) => widths[at] = Math.max(widths[at] ?? 0, cell.length));
  }
  return rows.map((row) =>
    row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ").trimEnd()
  );
}
