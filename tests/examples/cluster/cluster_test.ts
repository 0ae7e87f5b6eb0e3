import { deepEqual, equal, match, ok } from "node:assert/strict";
import OpenAI from "openai";
import { startProcess } from "../../../examples/cluster/mod.ts";
import { runTask } from "../../support/server.ts";

const root = new URL("../../../", import.meta.url).pathname;
const messages = [{ role: "user" as const, content: "7350+7994" }];

async function textOf(client: OpenAI): Promise<string> {
  const stream = await client.chat.completions.create({
    model: "zoo/giant",
    messages,
    temperature: 0,
    stream: true,
  });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  return text;
}

Deno.test("deno task cluster serves, loses a router without losing a request, and stops", async (t) => {
  const lines: string[] = [];
  const [cluster, url] = await startProcess({
    name: "cluster",
    command: Deno.execPath(),
    args: ["run", "-A", `${root}examples/cluster/main.ts`, "--port", "0"],
    print: (line) => lines.push(line),
    ready: /The cluster is ready at (\S+)/,
  });
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  const status = async () => {
    const { code, stdout } = await runTask(["status", "--url", url, "--json"]);
    return { code, ...JSON.parse(stdout || '{"nodes": []}') };
  };
  try {
    await t.step("all nodes come together and are well", async () => {
      let seen = await status();
      while (seen.code !== 0 || seen.nodes.length < 3) seen = await status();
      const { nodes, health, models } = seen;
      const names = nodes.map(({ name }: { name: string }) => name);
      deepEqual(names, ["router:a", "router:b", "worker:c"]);
      equal(health.families.zoo, "ready");
      equal(models.length, 2);
      ok(nodes.every(({ devices }: { devices: unknown[] }) => devices.length === 1));
    });

    await t.step("100 streams outlive the router of some of them", async () => {
      const pid = Number(/kill -9 (\d+)/.exec(lines.join("\n"))![1]);
      let next = 0;
      const texts: string[] = [];
      const work = async () => {
        while (next < 100) {
          if (next++ === 40) Deno.kill(pid, "SIGKILL");
          texts.push(await textOf(client));
        }
      };
      await Promise.all(Array.from({ length: 16 }, work));
      equal(texts.length, 100);
      deepEqual([...new Set(texts)], ["15344"]);
      match(lines.join("\n"), /router:b has ended; the others go on/);
    });

    await t.step("a drained worker hosts nothing any more, and nothing stops", async () => {
      const drain = `${url}/admin/nodes/worker:c/drain`;
      const accepted = await fetch(drain, { method: "POST" });
      deepEqual([accepted.status, await accepted.json()], [202, {
        node: "worker:c",
        draining: true,
      }]);
      for (let isDrained = false; !isDrained;) {
        const { nodes } = await status();
        const worker = nodes.find(({ name }: { name: string }) => name === "worker:c");
        isDrained = worker?.draining && Object.keys(worker.hosts).length === 0;
        equal(await textOf(client), "15344");
      }
    });
  } finally {
    await cluster.stop(30_000);
  }
  equal(await cluster.ended, 0);
  const names = lines.map((line) => line.slice(0, 10).trim());
  ok(names.lastIndexOf("edge:e") < names.lastIndexOf("router:a"), "the edge stops first");
});
