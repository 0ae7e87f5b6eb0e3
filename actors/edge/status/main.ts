/** `deno task status`: shows a cluster, as any of its servers and edges knows it. */
import { parseArgs } from "node:util";
import type { ClusterView } from "../desk/mod.ts";
import { renderCluster } from "./render.ts";

const help = `Show a cluster: nodes, devices, replicas, placement, queues and versions.

Usage: deno task status [options]

  --url URL     Any server or edge of the cluster (http://127.0.0.1:8080)
  --json        Print it as JSON
  -h, --help    Show this

TANDEM_API_KEY is the API key, where one is needed.
Exits with 0 when all is well, 1 when something is not, 2 when nobody answers.
`;

const options = {
  url: { type: "string", default: "http://127.0.0.1:8080" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

if (import.meta.main) Deno.exit(await main());

async function main(): Promise<number> {
  try {
    const { values } = parseArgs({ args: Deno.args, options });
    if (values.help) {
      console.log(help);
      return 0;
    }
    const view = await fetchCluster(values.url);
    console.log(values.json ? JSON.stringify(view, null, 2) : renderCluster(view));
    return view.health.healthy && view.problems.length === 0 ? 0 : 1;
  } catch (error) {
    console.error((error as Error).message.split("\n")[0]);
    return 2;
  }
}

async function fetchCluster(url: string): Promise<ClusterView> {
  const key = Deno.env.get("TANDEM_API_KEY");
  const response = await ask(url, key === undefined ? {} : { authorization: `Bearer ${key}` });
  const body = await response.json().catch(() => null);
  // Servers of earlier versions know of no problems.
  if (response.ok && body?.nodes) return { problems: [], ...body };
  const why = body?.error?.message ?? `status ${response.status}`;
  throw new Error(`Cannot show the cluster (${why}): ${url}`);
}

async function ask(url: string, headers: HeadersInit): Promise<Response> {
  try {
    return await fetch(new URL("/v1/cluster", url), { headers });
  } catch {
    throw new Error(`Cannot reach a server (choose with --url): ${url}`);
  }
}
