/** Nodes that compute on a GPU; one in software will do. */
import assert from "node:assert/strict";
import { parseConfig } from "../../../actors/config/mod.ts";
import { createEdge } from "../../../actors/edge/mod.ts";
import { startNode, type TandemNode } from "../../../actors/node/mod.ts";
import { generate } from "../../../examples/zoo/tasks/mod.ts";
import { createLogger, createMetrics, systemClock } from "../../../runtime/mod.ts";
import { withAdapter } from "../../support/gpu.ts";
import { runTask } from "../../support/server.ts";
import { sharedTest } from "../../support/shared.ts";
import { greedyIds, publishedIds } from "./support.ts";

const models = new URL("../../../examples/zoo/models/", import.meta.url).pathname;
const log = createLogger({ level: "silent" });

/** Easy ones: the giant is sure of each token, so that rounding does not decide. */
const prompts = generate({ split: "test", count: 12, seed: 4, difficulties: [1, 1, 0, 0] })
  .map(({ prompt }) => prompt);

/** A node that serves the zoo, with the HTTP API before it. */
class ZooNode implements AsyncDisposable {
  readonly node: TandemNode;
  readonly #fetch: (request: Request) => Promise<Response>;

  private constructor(node: TandemNode) {
    this.node = node;
    const { limits } = parseConfig({});
    this.#fetch = createEdge({
      routers: node.directory,
      limits,
      keys: null,
      metrics: createMetrics(),
      log,
      clock: systemClock(),
    }).fetch;
  }

  static async start(giantOn: string, devices: readonly Record<string, unknown>[]) {
    const levels = [["small", "cpu"], ["giant", giantOn]].map(([name, device]) => ({
      name,
      device,
      model: `${models}${name}`,
    }));
    const deviceModule = new URL("./gpu_to_destroy.ts", import.meta.url);
    const config = parseConfig({ devices, families: [{ name: "zoo", levels }] });
    return new ZooNode(await startNode(config, { log, deviceModule }));
  }

  /** The text of an answer. */
  async ask(level: string, content: string): Promise<string> {
    const response = await this.#fetch(
      new Request("http://127.0.0.1/v1/chat/completions", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          model: `zoo/${level}`,
          messages: [{ role: "user", content }],
          temperature: 0,
          stream: true,
        }),
      }),
    );
    assert.equal(response.status, 200);
    const events = await response.text();
    let text = "";
    for (const [, data] of events.matchAll(/^data: (\{.*)$/gm)) {
      const { choices, error } = JSON.parse(data!);
      assert.equal(error, undefined, data);
      text += choices[0]?.delta.content ?? "";
    }
    assert.match(events, /"finish_reason":"stop"/);
    return text;
  }

  async askAll(level: string): Promise<string[]> {
    return await Promise.all(prompts.map((prompt) => this.ask(level, prompt)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node.close();
  }
}

const cpu = { name: "cpu", kind: "cpu", threads: 2 };

if (withAdapter("startNode() serves from a GPU")) {
  Deno.test("startNode() serves a giant from a GPU and its small one from the CPU", async (t) => {
    const expected = { small: [""], giant: [""] };
    {
      await using zoo = await ZooNode.start("cpu", [cpu]);
      expected.small = await zoo.askAll("small");
      expected.giant = await zoo.askAll("giant");
    }
    await using zoo = await ZooNode.start("gpu", [cpu, { name: "gpu", kind: "gpu" }]);
    const { devices, parts, revision } = zoo.node.status().nodes[0]!;

    await t.step("as asked", () => {
      assert.deepEqual(devices.map(({ name, kind }) => [name, kind]), [
        ["cpu", "cpu"],
        ["gpu", "gpu"],
      ]);
      const places = parts.flatMap(({ placement }) => placement ?? []).map(
        ({ level, partitions }) => `${level} on ${partitions.map(({ device }) => device).join()}`,
      );
      assert.deepEqual(places.sort(), ["giant on gpu", "small on cpu"]);
    });

    await t.step("with the answers of the CPU alone", async () => {
      assert.deepEqual(await zoo.askAll("giant"), expected.giant);
      assert.deepEqual(await zoo.askAll("small"), expected.small);
    });

    await t.step("and a device destroyed in mid-generation loses no request", async () => {
      const orders = new BroadcastChannel("destroy the gpu");
      const understood = new Promise((resolve) => orders.onmessage = resolve);
      orders.postMessage(5);
      await understood;
      orders.close();
      assert.deepEqual(await zoo.askAll("giant"), expected.giant);
      const now = zoo.node.status().nodes[0]!;
      assert.notEqual(now.revision, revision, "the replica was lost");
      assert.equal(now.devices[1]?.kind, "gpu", "the device came back");
    });
  });

  sharedTest(
    "startNode() serves layers on a GPU and the rest on the CPU as one model",
    "models/stories260K",
    async (model) => {
      const partitions = [{ layers: 3, device: "gpu" }, { layers: 2, device: "cpu" }];
      const config = parseConfig({
        devices: [cpu, { name: "gpu", kind: "gpu" }],
        families: [{ name: "family", levels: [{ name: "one", model, partitions }] }],
      });
      const node = await startNode(config, { log });
      try {
        const { prompt, ids } = publishedIds(model);
        const found = await greedyIds(node.routers.get("family")!, prompt, ids.length);
        assert.deepEqual(found, ids);
      } finally {
        await node.close();
      }
    },
  );

  Deno.test("deno task serve refuses what the GPU's memory cannot hold, with the numbers", async () => {
    const args = ["serve", "--device", "gpu", "--gpu-memory", "20MB", "--port", "0"];
    const { code, stderr } = await runTask(args);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /Cannot fit zoo\/giant into the \d+ MB of free memory of local\/gpu: \d+ MB/,
    );
  });

  Deno.test("startNode() warns of a GPU in software", async () => {
    const config = parseConfig({ devices: [{ name: "gpu", kind: "gpu" }] });
    const node = await startNode(config, { log });
    await node.close();
    const adapter = await navigator.gpu.requestAdapter();
    const isSoftware = /llvmpipe|swiftshader/i.test(adapter!.info.description);
    assert.equal(/a GPU in software/.test(node.warnings.join()), isSoftware);
  });
}
