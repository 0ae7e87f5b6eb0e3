/** `deno task serve`: serves families of models over the OpenAI API until it is interrupted. */
import {
  createLogger,
  createMetrics,
  type Logger,
  observeSystem,
  observeTransport,
  systemClock,
} from "../../runtime/mod.ts";
import {
  type ClusterConfig,
  type Config,
  ConfigError,
  parseServeArguments,
  resolveServeConfig,
} from "../config/mod.ts";
import {
  createEdge,
  Doorway,
  type Edge,
  type EdgeOptions,
  loadKeys,
  requireKeys,
  type Server,
  startServer,
} from "../edge/mod.ts";
import { mayLead } from "../node_protocol.ts";
import type { LevelModel } from "../router/mod.ts";
import { tracing } from "../tracing.ts";
import { version } from "../version.ts";
import { bundledFamily } from "./bundled.ts";
import { connectCluster } from "./connect.ts";
import { runCommand } from "./command.ts";
import { type NodeOptions, type NodeProgress, startNode, type TandemNode } from "./node.ts";

if (import.meta.main) await runCommand(main);

async function main(): Promise<void> {
  const command = parseServeArguments(Deno.args);
  if (command.kind === "help") return console.log(command.text);
  if (command.kind === "version") return console.log(version);
  const config = await resolveServeConfig(command.options, bundledFamily());
  const { cluster } = config;
  if (cluster && !mayLead(cluster.node)) await work(config, cluster);
  else await serve(config, command.options.port === undefined);
  console.error("Stopped");
  Deno.exit(0);
}

/** Serves until it is interrupted; `mayMove` says that another port than the default would do. */
async function serve(config: Config, mayMove: boolean): Promise<void> {
  const keys = await loadKeys({
    ...(config.keys !== undefined && { file: config.keys }),
    ...(Deno.env.has("TANDEM_API_KEYS") && { list: Deno.env.get("TANDEM_API_KEYS")! }),
  });
  requireKeys(config.listen.host, keys);
  const log = createLogger({ level: config.logLevel });
  const stopped = interruption();
  const doorway = new Doorway();
  const server = listen(doorway, config, mayMove);
  log.debug("Listens, and is not ready yet", { url: server.url });
  await withNode(config, { log, stopped, progress: console.error }, async (node, options) => {
    for (const warning of node.warnings) log.warn(warning);
    doorway.open(edgeOf(node, config, { ...options, keys, log }));
    console.log(greeting(server, config, node));
    checkPlace(await Promise.race([stopped, node.replaced]));
    console.error("Stopping: finishing requests (interrupt again to cancel them)");
    const graceMs = config.limits.drainSeconds * 1000;
    const finished = Promise.all([server.stop(), node.drain(graceMs)]);
    await Promise.race([finished, interruption().then(() => server.stop(0))]);
  });
}

/** Works for a cluster until it is interrupted: hosts what it is told to, and answers nobody by HTTP. */
async function work(config: Config, { node: name }: ClusterConfig): Promise<void> {
  const log = createLogger({ level: config.logLevel });
  const stopped = interruption();
  await withNode({ ...config, families: [] }, { log, stopped }, async (node) => {
    console.log(`Tandem ${version} works as ${name} of a cluster`);
    checkPlace(await Promise.race([stopped, node.replaced]));
    console.error("Stopping: letting others take over (interrupt again to leave at once)");
    await Promise.race([node.drain(config.limits.drainSeconds * 1000), interruption()]);
  });
}

/** How a node comes up. */
interface StartOptions {
  readonly log: Logger;
  /** Resolves when the process is interrupted. */
  readonly stopped: Promise<unknown>;
  readonly progress?: NodeProgress;
}

/** Runs a node for as long as `body` takes; not at all when it is interrupted while it waits for its cluster. */
async function withNode(
  config: Config,
  { stopped, ...told }: StartOptions,
  body: (node: TandemNode, options: NodeOptions) => Promise<void>,
): Promise<void> {
  const ending = new AbortController();
  void stopped.then(() => ending.abort());
  const { cluster } = config;
  const { signal } = ending;
  const lane = cluster ? await connectCluster(cluster, { ...told, signal }) : {};
  if (lane === null) return;
  const options = { ...lane, ...await tracing() };
  const node = await startNode(config, { ...options, ...told });
  try {
    await body(node, options);
  } finally {
    await node.close();
  }
}

/** The HTTP face of a node. */
function edgeOf(
  node: TandemNode,
  { listen, limits }: Config,
  { keys, log, transport, tracer }: NodeOptions & Pick<EdgeOptions, "keys" | "log">,
): Edge {
  const metrics = createMetrics();
  observeSystem(metrics, node.system);
  if (transport) observeTransport(metrics, transport);
  return createEdge({
    ...listen,
    ...(tracer && { tracer }),
    routers: node.directory,
    findDesks: node.findDesks,
    node: node.system.node,
    clock: systemClock(),
    ...{ limits, keys, metrics, log, version },
  });
}

/** Throws when a node was not told to stop, but lost its name. */
function checkPlace(why: string | undefined): void {
  if (why !== undefined) throw new ConfigError("Usage", `Cannot stay, ${why} (see --node)`);
}

/** Listens; several nodes on one machine share no port, so all but the first take any that is free. */
function listen(edge: Edge, { listen, cluster }: Config, mayMove: boolean): Server {
  const { host, port } = listen;
  try {
    return startServer({ edge, host, port });
  } catch (error) {
    if (!cluster || !mayMove || !(error instanceof ConfigError)) throw error;
    return startServer({ edge, host, port: 0 });
  }
}

/** Resolves at the next SIGINT or SIGTERM. */
function interruption(): Promise<undefined> {
  return new Promise((resolve) => {
    const signals = ["SIGINT", "SIGTERM"] as const;
    const listener = () => {
      for (const signal of signals) Deno.removeSignalListener(signal, listener);
      resolve(undefined);
    };
    for (const signal of signals) Deno.addSignalListener(signal, listener);
  });
}

/** What is served, where, and a line to try. */
function greeting({ url }: Server, { cluster }: Config, { models }: TandemNode): string {
  const lines = [...models].map(([name, levels]) => {
    const names = levels.map((level) => `${name}/${level.name}`).join(" -> ");
    return `  ${name}: ${names}`;
  });
  const joined = cluster ? ` as ${cluster.node} of a cluster` : "";
  const [first] = models;
  return [
    `Tandem ${version} serves at ${url}${joined}`,
    ...lines,
    ...(first ? ["Try:", `  ${example(url, ...first)}`] : []),
  ].join("\n");
}

function example(url: string, name: string, models: readonly LevelModel[]): string {
  const chats = models.every(({ template }) => template !== undefined);
  const content = name === "zoo" ? "3421cm to mm=" : "Hello!";
  const body = chats
    ? { model: name, messages: [{ role: "user", content }] }
    : { model: name, prompt: content, max_tokens: 64 };
  const path = chats ? "chat/completions" : "completions";
  return `curl ${url}/v1/${path} -H 'content-type: application/json' -d '${JSON.stringify(body)}'`;
}
