import type { Hono } from "hono";
import type { Catalog } from "../catalog.ts";
import { reportFamilies } from "../watch.ts";
import type { Desks } from "./desks.ts";
import { healthView, modelViews, nodeViews, viewCluster } from "./view.ts";

/** What the routes need. */
export interface DeskRoutesOptions {
  readonly catalog: Catalog;
  readonly desks: Desks;
  readonly version: string;
}

const fresh = { headers: { "cache-control": "no-store" } };

/** What operators may see and order. The guards stand before. */
// deno-lint-ignore no-explicit-any -- whatever variables the application has
export function addDesk(app: Hono<any>, { catalog, desks, version }: DeskRoutesOptions): void {
  const look = () => Promise.all([desks.status(), reportFamilies(catalog)] as const);
  app.get("/v1/cluster", async () => {
    const [status, families] = await look();
    return Response.json(viewCluster(status, families, version), fresh);
  });
  app.get("/v1/cluster/nodes", async () => {
    return Response.json({ nodes: nodeViews(await desks.status()) }, fresh);
  });
  app.get("/v1/cluster/models", async () => {
    return Response.json({ models: modelViews(...await look()) }, fresh);
  });
  app.get("/v1/cluster/health", async () => {
    const health = healthView(...await look());
    return Response.json(health, { ...fresh, status: health.healthy ? 200 : 503 });
  });
  app.post("/admin/nodes/:name/drain", async ({ req }) => {
    const node = req.param("name");
    await desks.drain(node);
    return Response.json({ node, draining: true }, { status: 202 });
  });
  app.delete("/admin/families/:name", async ({ req }) => {
    const family = req.param("name");
    await desks.removeFamily(family);
    return Response.json({ family, removed: true }, { status: 202 });
  });
}
