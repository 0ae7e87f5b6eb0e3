/** `deno task cluster`: NATS, three nodes and an edge on this machine, until it is interrupted. */
import { parseArgs } from "node:util";
import { type Cluster, startCluster } from "./cluster.ts";

const help = `Start NATS, three nodes and an edge on this machine.

Usage: deno task cluster [options]

  --port N      Port of the edge (8080; 0 = any free one)
  -h, --help    Show this
`;

const options = {
  port: { type: "string", default: "8080" },
  help: { type: "boolean", short: "h", default: false },
} as const;

const nodes = ["router:a", "router:b", "worker:c"];
const nameWidth = 10;

if (import.meta.main) Deno.exit(await main());

async function main(): Promise<number> {
  const dir = await Deno.makeTempDir({ prefix: "tandem-cluster-" });
  const interrupted = interruption();
  let cluster: Cluster | undefined;
  try {
    const { values } = parseArgs({ args: Deno.args, options });
    if (values.help) {
      console.log(help);
      return 0;
    }
    cluster = await startCluster({ nodes, port: Number(values.port), dir, print });
    await untilReady(cluster);
    console.log(greeting(cluster));
    const ended = await Promise.race([interrupted, cluster.broken]);
    if (ended !== undefined) console.error(`${ended} has ended; the others go on`);
    await interrupted;
    return 0;
  } catch (error) {
    console.error(explain(error as Error));
    return 1;
  } finally {
    if (cluster) console.error("Stopping");
    await cluster?.stop();
    await Deno.remove(dir, { recursive: true });
  }
}

function print(name: string, line: string): void {
  // The server tells of all that it does; what matters is what goes wrong.
  if (name === "nats" && line.includes("[INF]")) return;
  console.error(`${name.padEnd(nameWidth)}${line}`);
}

async function untilReady({ url, broken }: Cluster): Promise<void> {
  let isBroken = false;
  void broken.then(() => isBroken = true);
  while (
    !(await fetch(`${url}/readyz`).then(async (response) => {
      await response.body?.cancel();
      return response.ok;
    }))
  ) {
    if (isBroken) throw new Error(`Cannot go on, a process has ended: ${await broken}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function greeting({ url, nodes }: Cluster): string {
  const body = JSON.stringify({
    model: "zoo",
    messages: [{ role: "user", content: "3421cm to mm=" }],
  });
  const doomed = nodes.find(({ name }) => name === "router:b")!;
  return `
The cluster is ready at ${url}
Ask it:
  curl ${url}/v1/chat/completions -H 'content-type: application/json' -d '${body}'
Look at it:
  deno task status --url ${url}
Lose ${doomed.name} in the middle of something:
  kill -9 ${doomed.pid}
Stop it with Ctrl-C.
`;
}

function interruption(): Promise<undefined> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(signal, () => resolve(undefined));
    }
  });
}

function explain(error: Error): string {
  if (error instanceof Deno.errors.NotFound && error.message.includes("nats-server")) {
    return "Cannot find nats-server. Install it: apt-get install nats-server, or from nats.io";
  }
  return error.message.split("\n")[0]!;
}
