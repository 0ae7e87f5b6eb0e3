import {
  type AnyRef,
  type Clock,
  type Logger,
  type Metrics,
  type Rng,
  systemRng,
  type Tracer,
} from "../../runtime/mod.ts";
import type { LimitsConfig } from "../config/mod.ts";
import { createApp } from "./app.ts";
import { Catalog } from "./catalog.ts";
import { Completions } from "./completions.ts";
import { Guard } from "./guard.ts";
import { type KeyRing, Quotas } from "./keys/mod.ts";
import { Desks, type FindDesks } from "./desk/mod.ts";
import { FamilyMetrics } from "./family_metrics.ts";
import { Balancer, createGenerations, type Failover } from "./generation/mod.ts";
import { EdgeMetrics } from "./metrics.ts";
import { ProgressWatch } from "./progress.ts";
import type { RouterDirectory } from "./routers.ts";
import { Admission } from "./work.ts";

/** What an edge needs. */
export interface EdgeOptions {
  /** Where the routers of the families are, by the name that clients call them. */
  readonly routers: RouterDirectory;
  /** Finds nodes that know the cluster; nobody is asked about it when absent. */
  readonly findDesks?: FindDesks;
  /** What requests may take; those of the configuration. */
  readonly limits: LimitsConfig;
  /** Who may call; `null` = anybody who can reach the address. */
  readonly keys: KeyRing | null;
  /** Where the edge counts; rendered at `/metrics`. */
  readonly metrics: Metrics;
  /** One line a request, without prompts and keys. */
  readonly log: Logger;
  /** Follows requests to routers and replicas; none by default. */
  readonly tracer?: Tracer;
  /** Time. */
  readonly clock: Clock;
  /** What seeds and choices among equals follow from; the machine's by default. */
  readonly rng?: Rng;
  /** The address that the server is bound to; `127.0.0.1` by default. */
  readonly host?: string;
  /** Name of the node that the edge is part of; absent = of none, and every router is a stranger. */
  readonly node?: string;
  /** Web origins that may call from a browser; none by default. */
  readonly origins?: readonly string[];
  /** More names that a loopback server answers to. */
  readonly hosts?: readonly string[];
  /** Shown by the status page. */
  readonly version?: string;
  /** Makes ids of requests; random by default. */
  readonly newId?: () => string;
}

/** The HTTP face of the families. */
export interface Edge {
  /** Answers one request; never rejects. */
  fetch(request: Request): Promise<Response>;
  /** Takes no more requests, waits for those at work and cancels them after `graceMs` (by the limits). */
  drain(graceMs?: number): Promise<void>;
  /** Completion requests at work. */
  readonly inFlight: number;
}

/** Makes the HTTP face of families: the OpenAI API, health, metrics and the status page. */
export function createEdge(options: EdgeOptions): Edge {
  const { clock, keys, limits, log, routers, rng = systemRng() } = options;
  const admission = new Admission({
    clock,
    concurrentRequests: limits.concurrentRequests,
    requestMs: limits.requestSeconds * 1000,
  });
  const balancer = new Balancer(clock, rng);
  const catalog = new Catalog(routers, balancer, clock);
  const metrics = new EdgeMetrics(options.metrics, clock, () => admission.inFlight);
  const familyMetrics = new FamilyMetrics(options.metrics);
  const failedOver = (failover: Failover) => {
    metrics.failedOver(failover.family);
    log.warn("Went on at another router", { ...failover });
  };
  const isHere = ({ address }: AnyRef) => address.startsWith(`${options.node}/`);
  const generate = createGenerations({ routers, balancer, clock, rng, isHere, failedOver });
  const { bodyBytes } = limits;
  const quotas = new Quotas(clock);
  if (keys && keys.plain > 0) {
    log.warn("API keys are in plain text; make hashed ones with: deno task keys", {
      count: keys.plain,
    });
  }
  const app = createApp({
    admission,
    catalog,
    clock,
    completions: new Completions({
      admission,
      bodyBytes,
      catalog,
      clock,
      generate,
      log,
      metrics,
      quotas,
      tracer: options.tracer,
    }),
    desks: new Desks(options.findDesks ?? (() => [])),
    guard: new Guard({
      keys,
      host: options.host ?? "127.0.0.1",
      origins: options.origins ?? [],
      hosts: options.hosts ?? [],
    }),
    keysNeeded: keys !== null,
    limits,
    log,
    newId: options.newId ?? (() => crypto.randomUUID().replaceAll("-", "")),
    progress: new ProgressWatch(clock, options.node),
    quotas,
    renderMetrics: (families) => {
      familyMetrics.show(families);
      return options.metrics.render();
    },
    version: options.version ?? "0",
  });
  return {
    fetch: async (request) => await app.fetch(request),
    drain: (graceMs = limits.drainSeconds * 1000) => admission.drain(graceMs),
    get inFlight() {
      return admission.inFlight;
    },
  };
}
