import {
  type Clock,
  createLogger,
  createMetrics,
  type Logger,
  type Rng,
  systemClock,
  systemRng,
  type Tracer,
  type Transport,
} from "../../../runtime/mod.ts";
import { parseConfig } from "../../config/mod.ts";
import { protocolRange, version } from "../../version.ts";
import { createEdge, type Edge } from "../edge.ts";
import { HttpError, toHttpError } from "../errors.ts";
import { isLoopback, loadKeys } from "../keys/mod.ts";
import { Cluster } from "./cluster.ts";
import type { EdgeSettings } from "./settings.ts";

/** What an edge of its own is made of. */
export interface StandaloneOptions {
  readonly settings: EdgeSettings;
  /** Connects to the cluster by the settings. */
  readonly connect: (node: string) => Promise<Transport>;
  readonly clock?: Clock;
  readonly rng?: Rng;
  readonly log?: Logger;
  readonly tracer?: Tracer;
}

/** An edge in a process of its own. */
export interface Standalone {
  /** Answers one request of a client at an address; never rejects. */
  fetch(request: Request, client?: string): Promise<Response>;
  /** Lets requests finish for a while, then leaves the cluster: at most 4.5 s in all. */
  close(): Promise<void>;
}

/** A platform such as Deno Deploy gives 5 s between SIGINT and SIGKILL; leaving takes up to one of them. */
const DRAIN_MS = 3500;

/** Makes an edge without a model: it joins the cluster at the first request. Throws `ConfigError`. */
export async function standaloneEdge(options: StandaloneOptions): Promise<Standalone> {
  const { settings, clock = systemClock(), rng = systemRng() } = options;
  const log = options.log ?? createLogger(settings.log);
  const keys = await loadKeys(settings.keys);
  const node = settings.node ?? `edge:${crypto.randomUUID().slice(0, 8)}`;
  const metrics = createMetrics();
  const tracer = options.tracer && { tracer: options.tracer };
  const connect = () => options.connect(node);
  const cluster = new Cluster({
    ...{ node, connect, clock, rng, log, metrics, version, protocol: protocolRange },
    ...tracer,
  });
  const edge = createEdge({
    routers: cluster,
    findDesks: () => cluster.findDesks(),
    limits: parseConfig({}).limits,
    ...{ keys, metrics, log, clock, rng, version },
    ...tracer,
    // Keys protect, or else the address of the client: any name may lead here.
    host: keys === null ? "127.0.0.1" : "0.0.0.0",
    origins: settings.origins,
  });
  return {
    fetch: (request, client) =>
      keys === null && client !== undefined && !isLoopback(client)
        ? Promise.resolve(keyless().response())
        : answer(cluster, edge, request),
    async close() {
      await edge.drain(DRAIN_MS);
      await cluster.close();
    },
  };
}

async function answer(cluster: Cluster, edge: Edge, request: Request): Promise<Response> {
  try {
    if (new URL(request.url).pathname !== "/healthz") await cluster.ready();
  } catch (error) {
    return toHttpError(error).response();
  }
  return await edge.fetch(request);
}

function keyless(): HttpError {
  const cure = "set TANDEM_API_KEYS or TANDEM_KEYS_FILE";
  return new HttpError(`Cannot answer other machines without API keys (${cure})`, {
    status: 403,
    code: "keys_missing",
  });
}
