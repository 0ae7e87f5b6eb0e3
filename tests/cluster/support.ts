/** A cluster of real processes: nats-server, nodes and an edge, and clients that read published texts. */
import assert from "node:assert/strict";
import OpenAI from "openai";
import { Observer } from "../../bench/observer.ts";
import { type ServeProcess, startServe } from "../../bench/serve_process.ts";
import { type EdgeProcess, startEdgeProcess } from "../support/edge.ts";
import { type NatsServer, startNats } from "../support/nats.ts";
import { type Proxy, startProxy } from "../support/proxy.ts";

/** Nodes of the cluster; `d` reaches NATS by a proxy. */
export const names = ["a", "b", "c", "d"] as const;

/** One of them. */
export type Name = typeof names[number];

/** Models that are served, by the names of their families. */
export interface Models {
  readonly dense: string;
  readonly moe: string;
}

/**
 * What is served: a dense model over three nodes in uneven parts, a mixture with one expert a node, and the
 * dense model once on every node.
 */
function configOf({ dense, moe }: Models) {
  const partitions = [{ layers: 2, node: "b" }, { layers: 1, node: "c" }, { layers: 2, node: "d" }];
  const expertShards = names.map((node, expert) => ({ experts: [expert], node }));
  const level = { replicas: 1, context: 512 };
  return {
    families: [
      { name: "dense", levels: [{ name: "one", model: dense, ...level, partitions }] },
      { name: "moe", levels: [{ name: "one", model: moe, ...level, expertShards }] },
      { name: "wide", levels: [{ name: "one", model: dense, context: 512 }] },
    ],
    devices: [{ name: "cpu", threads: 1 }],
    limits: { drainSeconds: 30 },
  };
}

/** Processes that make up a cluster. */
export class RealCluster implements AsyncDisposable {
  readonly nats: NatsServer;
  readonly proxy: Proxy;
  readonly observer: Observer;
  readonly client: OpenAI;
  readonly #models: Models;
  readonly #config: string;
  readonly #edge: EdgeProcess;
  readonly #nodes = new Map<Name, ServeProcess>();

  private constructor(
    nats: NatsServer,
    proxy: Proxy,
    observer: Observer,
    edge: EdgeProcess,
    models: Models,
    config: string,
  ) {
    this.nats = nats;
    this.proxy = proxy;
    this.observer = observer;
    this.#edge = edge;
    this.#models = models;
    this.#config = config;
    this.client = new OpenAI({
      ...{ baseURL: `${edge.url}/v1`, apiKey: "none", maxRetries: 0, timeout: 120_000 },
    });
  }

  /** Starts everything and waits until all replicas are where they should be. */
  static async start(models: Models): Promise<RealCluster> {
    const nats = await startNats();
    const proxy = startProxy(nats.port);
    const config = await Deno.makeTempFile({ suffix: ".json" });
    await Deno.writeTextFile(config, JSON.stringify(configOf(models)));
    const observer = await Observer.join(nats.url);
    const edge = await startEdgeProcess({ TANDEM_NATS_URL: nats.url, TANDEM_LOG_LEVEL: "error" });
    const cluster = new RealCluster(nats, proxy, observer, edge, models, config);
    await Promise.all(names.map((name) => cluster.join(name)));
    await cluster.whole();
    return cluster;
  }

  /** Starts a node, as at first or anew. Only `a` brings a configuration. */
  async join(name: Name): Promise<void> {
    const nats = name === "d" ? `nats://127.0.0.1:${this.proxy.port}` : this.nats.url;
    const args = name === "a" ? ["--config", this.#config] : ["--threads", "1"];
    const options = { node: name, nats, args: [...args, "--log-level", "debug"] };
    this.#nodes.set(name, await startServe(options));
  }

  /** The process of a node. */
  node(name: Name): ServeProcess {
    return this.#nodes.get(name)!;
  }

  /** Waits until every replica lies as it was asked for. */
  async whole(): Promise<void> {
    const expected = ["dense bcd", "moe abcd", "wide a", "wide b", "wide c", "wide d"].join();
    await this.observer.until(`replicas are ${expected}`, () => this.#layout() === expected);
  }

  #layout(): string {
    return this.observer.replicas.map(({ family, partitions, shards }) => {
      const places = shards.length > 0 ? shards : partitions;
      return `${family} ${places.map(({ node }) => node).join("")}`;
    }).sort().join();
  }

  /** Greedy text of a family after the published prompt, streamed; `onPiece` sees how many pieces came. */
  async read(
    family: string,
    tokens: number,
    onPiece: (count: number) => unknown = () => {},
  ): Promise<string> {
    const { prompt_ids } = published(family === "moe" ? this.#models.moe : this.#models.dense);
    const options = { model: family, prompt: prompt_ids, max_tokens: tokens, temperature: 0 };
    const stream = await this.client.completions.create({ ...options, stream: true });
    let [text, count] = ["", 0];
    for await (const chunk of stream) {
      text += chunk.choices[0]?.text ?? "";
      await onPiece(++count);
    }
    return text.trim();
  }

  /**
   * Reads the dense text and the beginning of that of the mixture at once, while something happens to them in
   * the middle. The mixture asks its experts layer by layer, and takes its time.
   */
  async endures(fault: () => unknown): Promise<void> {
    let begun = 0;
    let happening: unknown;
    const onPiece = (count: number) => {
      if (count === 10 && ++begun === 2) happening = fault();
    };
    const [dense, moe] = await Promise.all([
      this.read("dense", 200, onPiece),
      this.read("moe", 40, onPiece),
    ]);
    await happening;
    assert.equal(dense, published(this.#models.dense).text.trim());
    const whole = published(this.#models.moe).text.trim();
    assert.equal(moe, whole.slice(0, moe.length));
    assert(moe.length > 80, moe);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#edge[Symbol.asyncDispose]();
    for (const node of this.#nodes.values()) await node.kill();
    await this.observer[Symbol.asyncDispose]();
    await this.proxy[Symbol.asyncDispose]();
    await this.nats[Symbol.asyncDispose]();
    await Deno.remove(this.#config);
  }
}

/** What is published of a model's greedy output. */
export function published(dir: string): { prompt_ids: number[]; ids: number[]; text: string } {
  return JSON.parse(Deno.readTextFileSync(`${dir}/expected_greedy.json`));
}

/** Some time, for things that are about time: how long a pause or a cut lasts. */
export function passing(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
