/** `deno task bench NAME [--json] [--quick]`: runs one bench and prints its table. */
import type { Bench } from "./harness.ts";

const names = ["actors", "cluster", "engine", "kernels", "webgpu", "zoo"] as const;

async function load(name: string): Promise<Bench | null> {
  if (!(names as readonly string[]).includes(name)) return null;
  const module = await import(new URL(`./${name}/mod.ts`, import.meta.url).href);
  return module.bench as Bench;
}

function format(table: readonly (readonly string[])[]): string {
  const widths = (table[0] ?? []).map((_, column) =>
    Math.max(...table.map((row) => (row[column] ?? "").length))
  );
  return table.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ")).join(
    "\n",
  );
}

const [name = "", ...rest] = Deno.args;
const bench = await load(name);
if (bench === null) {
  console.error(
    `Usage: deno task bench NAME [--json] [--quick], where NAME is one of: ${names.join(", ")}`,
  );
  Deno.exit(2);
}
const flags = new Set(rest);
const json = flags.has("--json");
const report = await bench.run({
  quick: flags.has("--quick"),
  args: rest.filter((arg) => arg !== "--json" && arg !== "--quick"),
  log: (line) => console.error(line),
});
console.log(format(report.table));
if (json) console.log(JSON.stringify(report.json));
