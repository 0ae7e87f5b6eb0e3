import { type Context, Hono } from "hono";
import type { Clock, Logger } from "../../runtime/mod.ts";
import { showValue } from "../config/mod.ts";
import { chatForm, textForm } from "./answer/mod.ts";
import type { Catalog } from "./catalog.ts";
import type { Completions, Endpoint } from "./completions.ts";
import { addDesk, type Desks, nodeViews } from "./desk/mod.ts";
import { HttpError, toHttpError } from "./errors.ts";
import type { Guard } from "./guard.ts";
import type { ApiKey, Quotas } from "./keys/mod.ts";
import { modelEntries } from "./models.ts";
import { statusPage } from "./page/mod.ts";
import type { ProgressWatch } from "./progress.ts";
import { chatParser, completionParser, type RequestLimits } from "./request/mod.ts";
import { type FamilyReport, readiness, reportFamilies } from "./watch.ts";
import type { Admission } from "./work.ts";

/** What the routes need. */
export interface AppOptions {
  readonly admission: Admission;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly completions: Completions;
  readonly desks: Desks;
  readonly guard: Guard;
  readonly keysNeeded: boolean;
  readonly limits: RequestLimits;
  readonly log: Logger;
  readonly newId: () => string;
  readonly progress: ProgressWatch;
  readonly quotas: Quotas;
  readonly renderMetrics: (families: readonly FamilyReport[]) => string;
  readonly version: string;
}

interface Env {
  Variables: { id: string; key: ApiKey | null };
}

type App = Hono<Env>;

/** Makes the routes. */
export function createApp(options: AppOptions): App {
  const app: App = new Hono<Env>();
  addGuards(app, options);
  addApi(app, options);
  addHealth(app, options);
  addWatch(app, options);
  addDesk(app, options);
  refuseOtherMethods(app);
  app.notFound((context) => {
    const path = showValue(context.req.path);
    const error = new HttpError(`Cannot find the path: ${path}`, {
      status: 404,
      code: "not_found",
    });
    return error.response();
  });
  app.onError((error, context) => answerError(error, context, options.log));
  return app;
}

function addGuards(app: App, { guard, newId, quotas }: AppOptions): void {
  app.use(async (context, next) => {
    const id = newId();
    context.set("id", id);
    const request = context.req.raw;
    guard.checkSource(request);
    const cors = guard.corsHeaders(request);
    if (request.method === "OPTIONS" && Object.keys(cors).length > 0) {
      context.res = new Response(null, { status: 204 });
    } else await next();
    for (const [name, value] of Object.entries(cors)) context.res.headers.set(name, value);
    context.res.headers.set("x-request-id", id);
    context.res.headers.set("x-content-type-options", "nosniff");
  });
  app.use("/v1/*", async (context, next) => {
    const key = guard.checkKey(context.req.raw);
    context.set("key", key);
    await next();
    for (const [name, value] of Object.entries(quotas.headers(key))) {
      context.res.headers.set(name, value);
    }
  });
  app.use("/admin/*", async (context, next) => {
    guard.checkAdmin(context.req.raw);
    await next();
  });
  for (const path of ["/", "/status", "/metrics"]) {
    app.use(path, async (context, next) => {
      guard.checkWatcher(context.req.raw);
      await next();
    });
  }
}

function addApi(app: App, { catalog, clock, completions, limits }: AppOptions): void {
  const created = Math.floor(clock.now() / 1000);
  const entries = async () => {
    const families = await Promise.allSettled(
      catalog.families.map((family) => catalog.recent(family)),
    );
    return families.flatMap((family) =>
      family.status === "fulfilled" ? modelEntries(family.value, created) : []
    );
  };
  app.get("/v1/models", async () => Response.json({ object: "list", data: await entries() }));
  app.get("/v1/models/:id{.+}", async (context) => {
    const id = context.req.param("id");
    const { model } = await catalog.resolve(id);
    return Response.json((await entries()).find((entry) => entry.id === model));
  });
  const endpoints: Readonly<Record<string, Endpoint>> = {
    "/v1/chat/completions": { form: chatForm, parse: chatParser(limits) },
    "/v1/completions": { form: textForm, parse: completionParser(limits) },
  };
  for (const [path, endpoint] of Object.entries(endpoints)) {
    app.post(
      path,
      ({ req, get }) => completions.answer(req.raw, endpoint, { id: get("id"), key: get("key") }),
    );
  }
}

function addHealth(app: App, { admission, catalog, progress }: AppOptions): void {
  app.get("/healthz", () => {
    const stuck = progress.stuck(catalog.latest());
    const alive = stuck.length === 0;
    return Response.json({ alive, stuck }, { status: alive ? 200 : 503 });
  });
  app.get("/readyz", async () => {
    const state = readiness(await reportFamilies(catalog), admission.draining);
    const headers: HeadersInit = state.ready ? {} : { "retry-after": "1" };
    return Response.json(state, { status: state.ready ? 200 : 503, headers });
  });
}

function addWatch(app: App, options: AppOptions): void {
  const { admission, catalog, clock, desks, keysNeeded, renderMetrics, version } = options;
  const begun = clock.monotonic();
  const page = statusPage();
  app.get("/", () => new Response(page.html, { headers: page.headers }));
  app.get("/status", async () => {
    // Without a desk the families are still worth showing.
    const nodes = desks.status().then(nodeViews, () => []);
    return Response.json({
      version,
      uptime_seconds: Math.round((clock.monotonic() - begun) / 1000),
      draining: admission.draining,
      in_flight: admission.inFlight,
      key_needed: keysNeeded,
      families: await reportFamilies(catalog),
      nodes: await nodes,
    }, { headers: { "cache-control": "no-store" } });
  });
  app.get("/metrics", async () =>
    new Response(renderMetrics(await reportFamilies(catalog)), {
      headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
    }));
}

/** A path that exists for another method answers 405 and says which. */
function refuseOtherMethods(app: App): void {
  const known = app.routes.filter(({ method }) => method !== "ALL");
  for (const { path, method } of known) {
    const allow = method === "GET" ? "GET, HEAD" : method;
    app.all(path, () => {
      throw new HttpError(`Cannot use this method here, it takes: ${allow}`, {
        status: 405,
        code: "method_not_allowed",
        headers: { allow },
      });
    });
  }
}

function answerError(thrown: Error, context: Context<Env>, log: Logger): Response {
  const error = toHttpError(thrown);
  const id = context.get("id");
  if (error.status >= 500) log.warn("Request failed", { id, status: error.status, error: thrown });
  const response = error.response();
  response.headers.set("x-request-id", id);
  return response;
}
