import { deepEqual, doesNotMatch, equal, match } from "node:assert/strict";
import { KeyRing, startServer } from "../../../actors/edge/mod.ts";
import { runTask } from "../../support/server.ts";
import { withDesk } from "./desk.ts";
import { type Json, withEdge } from "./support.ts";

Deno.test("GET /v1/cluster shows nodes, placement, queues and what is not well", () =>
  withDesk(async ({ get }) => {
    const view = await (await get("/v1/cluster")).json();
    deepEqual([view.leader, view.epoch, view.asked], ["router:a", 3, "router:a"]);
    deepEqual(
      view.nodes.map(({ name, role, draining, hosts }: Json) => ({
        name,
        role,
        draining,
        hosts,
      })),
      [
        { name: "router:a", role: "router", draining: false, hosts: {} },
        { name: "worker:w", role: "worker", draining: true, hosts: { partition: 1, replica: 1 } },
      ],
    );
    deepEqual(view.models.map(({ id }: Json) => id), ["zoo/small", "zoo/giant"]);
    deepEqual(view.models[1].replicas, [{
      address: "n/main/replica/a",
      up: true,
      running: 1,
      waiting: 0,
      pages_used: 1,
      pages_total: 4,
      parts: [
        "layers 0-4 on worker:w/cpu",
        "layers 5-7 on router:a/cpu",
        "experts 0,2 on worker:w/cpu",
      ],
    }]);
    deepEqual(view.health, {
      healthy: true,
      nodes: 2,
      families: { zoo: "ready" },
      draining: ["worker:w"],
    });
    deepEqual(await (await get("/v1/cluster/nodes")).json(), { nodes: view.nodes });
    deepEqual(await (await get("/v1/cluster/models")).json(), { models: view.models });
    deepEqual(await (await get("/v1/cluster/health")).json(), view.health);
  }));

Deno.test("GET /v1/cluster/health answers 503 when a family is not ready", () =>
  withDesk(async ({ get, script }) => {
    script.status = { ...script.status, ready: false };
    const health = await get("/v1/cluster/health");
    deepEqual([health.status, (await health.json()).families], [503, { zoo: "not ready" }]);
  }));

Deno.test("the cluster is unavailable while no desk is found, and the API is not", () =>
  withEdge(async ({ get }) => {
    const paths = ["/v1/cluster", "/v1/cluster/nodes", "/v1/cluster/health"];
    for (const path of paths) equal((await get(path)).status, 503);
    equal((await get("/v1/models")).status, 200);
  }));

Deno.test("what is asked of a cluster needs an admin's key, and a node or a family that is there", async () => {
  const entry = async (name: string, admin: boolean) => {
    const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(name));
    return { name, sha256: new Uint8Array(hash).toHex(), limits: {}, admin };
  };
  const keys = new KeyRing([await entry("ann", false), await entry("ops", true)]);
  await withDesk(async ({ get }, drained) => {
    const drain = (node: string, key?: string) =>
      get(`/admin/nodes/${node}/drain`, {
        method: "POST",
        headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
      });
    equal((await drain("worker:w")).status, 401);
    const forbidden = await drain("worker:w", "ann");
    deepEqual([forbidden.status, (await forbidden.json()).error.code], [403, "not_an_admin"]);
    deepEqual(drained, []);
    const accepted = await drain("worker:w", "ops");
    deepEqual([accepted.status, await accepted.json()], [202, {
      node: "worker:w",
      draining: true,
    }]);
    const missing = await drain("worker:x", "ops");
    deepEqual([missing.status, (await missing.json()).error.code], [404, "node_not_found"]);
    deepEqual(drained, ["worker:w"]);
    equal((await get("/v1/cluster")).status, 401);
  }, { keys });
  await withDesk(async ({ get }, drained) => {
    const remove = (family: string, key: string) =>
      get(`/admin/families/${family}`, {
        method: "DELETE",
        headers: { authorization: `Bearer ${key}` },
      });
    equal((await remove("zoo", "ann")).status, 403);
    const removed = await remove("zoo", "ops");
    deepEqual([removed.status, await removed.json()], [202, { family: "zoo", removed: true }]);
    equal((await remove("ape", "ops")).status, 404);
    deepEqual(drained, ["family zoo"]);
  }, { keys });
  await withDesk(async ({ get }, drained) => {
    equal((await get("/admin/nodes/worker%3Aw/drain", { method: "POST" })).status, 202);
    deepEqual(drained, ["worker:w"]);
  });
});

Deno.test("deno task status shows the cluster, as text and as JSON", () =>
  withDesk(async ({ edge, get, script }) => {
    const server = startServer({ edge, host: "127.0.0.1", port: 0 });
    try {
      const text = await runTask(["status", "--url", server.url]);
      equal(text.code, 0, text.stderr);
      const lines = text.stdout.trimEnd().split("\n");
      equal(lines[0], "healthy: router:a (1.2.3) knows 2 nodes, led by router:a, epoch 3");
      const row = lines.find((line) => line.startsWith("worker:w"));
      match(row!, /worker:w +0\.1\.0 +draining +cpu 16\.0 GB, 23\.4 GB\/s +1 partition, 1 replica/);
      match(text.stdout, /zoo\/giant +accepts all\n +n\/main\/replica\/a +up +1 running/);
      match(text.stdout, /layers 5-7 on router:a\/cpu/);
      match(text.stdout, /REFUSED\nold +it speaks/);
      doesNotMatch(text.stdout, /PROBLEMS/);
      const json = await runTask(["status", "--url", server.url, "--json"]);
      deepEqual(JSON.parse(json.stdout), await (await get("/v1/cluster")).json());
      script.status = { ...script.status, ready: false };
      equal((await runTask(["status", "--url", server.url])).code, 1);
    } finally {
      await server.stop(0);
    }
    const gone = await runTask(["status", "--url", server.url]);
    equal(gone.code, 2);
    match(gone.stderr, /^Cannot reach a server \(choose with --url\): http.*\n$/);
  }));

Deno.test("deno task status tells problems once, and that all is not well", () =>
  withDesk(
    async ({ edge }) => {
      const server = startServer({ edge, host: "127.0.0.1", port: 0 });
      try {
        const text = await runTask(["status", "--url", server.url]);
        equal(text.code, 1, text.stderr);
        match(text.stdout, /\nPROBLEMS\nCannot fit it\n$/);
        const json = await runTask(["status", "--url", server.url, "--json"]);
        deepEqual(JSON.parse(json.stdout).problems, ["Cannot fit it"]);
      } finally {
        await server.stop(0);
      }
    },
    {},
    ["Cannot fit it"],
  ));
