/** Two nodes in processes of their own that serve the same model, for faults of what is around them. */
import assert from "node:assert/strict";
import { Observer } from "../../bench/observer.ts";
import { type ServeProcess, startServe } from "../../bench/serve_process.ts";
import { type NatsServer, type NatsServerOptions, startNats } from "../support/nats.ts";
import { published } from "./support.ts";

/** A cluster of two; `a` brings the configuration. */
export class Pair implements AsyncDisposable {
  readonly nats: NatsServer;
  readonly observer: Observer;
  /** Each node that was lost, and why. */
  readonly losses: string[] = [];
  readonly #model: string;
  readonly #config: string;
  readonly #nodes = new Map<string, ServeProcess>();

  private constructor(nats: NatsServer, observer: Observer, model: string, config: string) {
    this.nats = nats;
    this.observer = observer;
    this.#model = model;
    this.#config = config;
    observer.membership.on((event) => {
      if (event.type === "left") this.losses.push(`${event.node}: ${event.why}`);
    });
  }

  /** Starts NATS and whoever watches; `level` is more of the level's configuration. */
  static async open(
    model: string,
    options: NatsServerOptions = {},
    level: Readonly<Record<string, unknown>> = {},
  ): Promise<Pair> {
    const nats = await startNats(options);
    const config = await Deno.makeTempFile({ suffix: ".json" });
    const levels = [{ name: "one", model, context: 512, ...level }];
    const devices = [{ name: "cpu", threads: 1 }];
    await Deno.writeTextFile(
      config,
      JSON.stringify({ families: [{ name: "family", levels }], devices }),
    );
    return new Pair(nats, await Observer.join(nats.url), model, config);
  }

  /** Starts a node; `deno` are more arguments of the runtime itself. */
  async join(name: string, deno: readonly string[] = []): Promise<void> {
    const args = name === "a" ? ["--config", this.#config] : ["--threads", "1"];
    const options = { node: name, nats: this.nats.url, args: [...args, "--log-level", "debug"] };
    this.#nodes.set(name, await startServe({ ...options, deno }));
  }

  /** The process of a node. */
  node(name: string): ServeProcess {
    return this.#nodes.get(name)!;
  }

  /** Waits until there is a replica on each of these nodes and nowhere else. */
  async runsOn(...nodes: readonly string[]): Promise<void> {
    const hosts = () => this.observer.replicas.map(({ host }) => host.node).sort().join();
    await this.observer.until(`replicas on ${nodes}`, () => hosts() === nodes.join());
  }

  /** Asks a node for what it knows of the cluster. */
  async status(name: string) {
    const response = await fetch(`${this.node(name).url}/v1/cluster`);
    return await response.json();
  }

  /** Reads the published text from a node. */
  async reads(name: string): Promise<void> {
    const { prompt_ids, text } = published(this.#model);
    const body = { model: "family", prompt: prompt_ids, max_tokens: 200, temperature: 0 };
    const response = await fetch(`${this.node(name).url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    assert.equal(response.status, 200, JSON.stringify(answer));
    assert.equal(answer.choices[0].text.trim(), text.trim());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.#nodes.values()) await node.kill();
    await this.observer[Symbol.asyncDispose]();
    await this.nats[Symbol.asyncDispose]();
    await Deno.remove(this.#config);
  }
}
