import assert from "node:assert/strict";
import { startServe } from "../../bench/serve_process.ts";
import { startNats } from "../support/nats.ts";

Deno.test("a node waits for NATS, alive and not ready, and serves once it is there", async () => {
  await using nats = await startNats();
  await nats.kill();
  const waiting = Promise.withResolvers<string>();
  let url = "";
  const heard = (line: string) => {
    url = /not ready yet url=(\S+)/.exec(line)?.[1] ?? url;
    if (line.includes("Waits for NATS")) waiting.resolve(line);
  };
  const options = { node: "a", nats: nats.url, args: ["--threads", "1", "--log-level", "debug"] };
  const starting = startServe({ ...options, heard });
  assert.match(await waiting.promise, /why="Cannot connect to NATS \(.*refused.*127\.0\.0\.1/);
  const get = async (path: string) => {
    const response = await fetch(`${url}${path}`);
    await response.body?.cancel();
    return [response.status, response.headers.get("retry-after")];
  };
  assert.deepEqual(await get("/healthz"), [200, null]);
  assert.deepEqual(await get("/readyz"), [503, "1"]);
  assert.deepEqual(await get("/v1/models"), [503, "1"]);
  await nats.restart();
  await using node = await starting;
  assert.equal(node.url, url);
  while ((await get("/readyz"))[0] !== 200);
  assert.deepEqual(await get("/v1/models"), [200, null]);
});

Deno.test("a node that NATS does not let in says so and ends", async () => {
  await using nats = await startNats({
    config: 'authorization { users: [{ user: "w", password: "x" }] }',
  });
  const args = ["--threads", "1", "--log-level", "debug"];
  await assert.rejects(
    startServe({ node: "a", nats: nats.url, args }),
    /^Cannot log in to NATS \(.*Authorization.*: nats:/m,
  );
});
