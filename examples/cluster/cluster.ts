import manifest from "../../deno.json" with { type: "json" };
import { type Logins, makeLogins, type Role } from "./logins.ts";
import { type Process, type ProcessOptions, startProcess } from "./processes.ts";

const root = new URL("../../", import.meta.url).pathname;
const config = new URL("nats/nkeys.conf", import.meta.url).pathname;

/** How a cluster is started. */
export interface ClusterOptions {
  /** Nodes by their names, such as `router:a` and `worker:c`. */
  readonly nodes: readonly string[];
  /** Port of the edge; 0 = any free one. */
  readonly port: number;
  /** Where logins and the server's store go. */
  readonly dir: string;
  /** Told each line of each process. */
  readonly print: (name: string, line: string) => void;
}

/** A cluster that runs. */
export interface Cluster {
  /** Where the edge listens. */
  readonly url: string;
  /** The nodes, in the order they were started. */
  readonly nodes: readonly Process[];
  /** Resolves with the name of the first process that ends by itself. */
  readonly broken: Promise<string>;
  /** Stops all: who asks before who is asked, the server last. */
  stop(): Promise<void>;
}

/** Time that a process gets to finish what it is at. */
const GRACE_MS = 15_000;

/** Starts NATS, the nodes and an edge. Whatever fails, nothing is left running. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const running: Process[] = [];
  const stop = async () => {
    for (const process of running.splice(0).reverse()) await process.stop(GRACE_MS);
  };
  const start = async (process: Omit<ProcessOptions, "print">) => {
    const print = (line: string) => options.print(process.name, line);
    const [started, said] = await startProcess({ ...process, print });
    running.push(started);
    return said;
  };
  try {
    const logins = await makeLogins(options.dir);
    const nats = `nats://127.0.0.1:${await start(natsServer(options.dir, logins))}`;
    await Promise.all(options.nodes.map((node) => start(servingNode(node, nats, logins))));
    const url = await start(edge(nats, options.port, logins));
    const nodes = running.filter(({ name }) => options.nodes.includes(name));
    const ends = running.map(({ name, ended }) => ended.then(() => name));
    return { url, nodes, broken: Promise.race(ends), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function natsServer(dir: string, { variables }: Logins): Omit<ProcessOptions, "print"> {
  return {
    name: "nats",
    command: "nats-server",
    args: ["-c", config, "-a", "127.0.0.1", "-p", "-1"],
    env: variables,
    cwd: dir,
    ready: /Listening for client connections on [\d.]+:(\d+)/,
  };
}

function servingNode(
  node: string,
  nats: string,
  { seedFile }: Logins,
): Omit<ProcessOptions, "print"> {
  const role = node.split(":", 1)[0] as Role;
  return {
    name: node,
    ...task("serve"),
    args: [
      ...task("serve").args,
      ...["--nats", nats, "--node", node, "--nats-nkey", seedFile(role), "--port", "0"],
    ],
    ready: /^Tandem \S+ (?:serves at|works as) (\S+)/,
  };
}

function edge(nats: string, port: number, { seedFile }: Logins): Omit<ProcessOptions, "print"> {
  const [serve, ...rest] = task("edge").args;
  return {
    name: "edge:e",
    command: task("edge").command,
    args: [serve!, "--host", "127.0.0.1", "--port", String(port), ...rest],
    env: {
      TANDEM_NATS_URL: nats,
      TANDEM_NATS_NKEY_FILE: seedFile("edge"),
      TANDEM_NODE: "edge:e",
      TANDEM_LOG_FORMAT: "pretty",
    },
    cwd: root,
    ready: /Listening on (http:\/\/[\w.:]+)/,
  };
}

/** A task of the project as a command, without the shell of `deno task` between. */
function task(name: "serve" | "edge"): { command: string; args: readonly string[]; cwd: string } {
  const [, ...args] = manifest.tasks[name].command.split(" ");
  return { command: Deno.execPath(), args, cwd: root };
}
