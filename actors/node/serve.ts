/** `deno task serve`: serves families of models over the OpenAI API until it is interrupted. */
import { createLogger, createMetrics, systemClock } from "../../runtime/mod.ts";
import { type Config, parseServeArguments, resolveServeConfig } from "../config/mod.ts";
import {
  createEdge,
  fixedRouters,
  loadKeys,
  requireKeys,
  type Server,
  startServer,
} from "../edge/mod.ts";
import { bundledFamily } from "./bundled.ts";
import { runCommand } from "./command.ts";
import { startNode, type TandemNode } from "./node.ts";
import { version } from "../version.ts";

if (import.meta.main) await runCommand(main);

async function main(): Promise<void> {
  const command = parseServeArguments(Deno.args);
  if (command.kind === "help") return console.log(command.text);
  if (command.kind === "version") return console.log(version);
  const config = await resolveServeConfig(command.options, bundledFamily());
  const keys = await loadKeys({
    ...(config.keys !== undefined && { file: config.keys }),
    ...(Deno.env.has("TANDEM_API_KEYS") && { list: Deno.env.get("TANDEM_API_KEYS")! }),
  });
  requireKeys(config.listen.host, keys);
  const log = createLogger({ level: config.logLevel });
  const stopped = interruption();
  const node = await startNode(config, { log, progress: console.error });
  try {
    for (const warning of node.warnings) log.warn(warning);
    const edge = createEdge({
      ...config.listen,
      routers: fixedRouters(node.routers),
      node: node.system.node,
      limits: config.limits,
      keys,
      metrics: createMetrics(),
      log,
      clock: systemClock(),
      version,
    });
    const server = startServer({ edge, host: config.listen.host, port: config.listen.port });
    console.log(greeting(server, config, node));
    await stopped;
    console.error("Stopping: finishing requests (interrupt again to cancel them)");
    await Promise.race([server.stop(), interruption().then(() => server.stop(0))]);
  } finally {
    await node.close();
  }
  console.error("Stopped");
  Deno.exit(0);
}

/** Resolves at the next SIGINT or SIGTERM. */
function interruption(): Promise<void> {
  return new Promise((resolve) => {
    const signals = ["SIGINT", "SIGTERM"] as const;
    const listener = () => {
      for (const signal of signals) Deno.removeSignalListener(signal, listener);
      resolve();
    };
    for (const signal of signals) Deno.addSignalListener(signal, listener);
  });
}

/** What is served, where, and a line to try. */
function greeting({ url }: Server, { families }: Config, { models }: TandemNode): string {
  const lines = families.map(({ name, levels }) => {
    const names = levels.map((level) => `${name}/${level.name}`).join(" -> ");
    return `  ${name}: ${names}`;
  });
  const { name } = families[0]!;
  const chats = models.get(name)!.every(({ template }) => template !== undefined);
  const content = name === "zoo" ? "3421cm to mm=" : "Hello!";
  const body = chats
    ? { model: name, messages: [{ role: "user", content }] }
    : { model: name, prompt: content, max_tokens: 64 };
  const path = chats ? "chat/completions" : "completions";
  return `Tandem ${version} serves at ${url}
${lines.join("\n")}
Try:
  curl ${url}/v1/${path} -H 'content-type: application/json' -d '${JSON.stringify(body)}'`;
}
