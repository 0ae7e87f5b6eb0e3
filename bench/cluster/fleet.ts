/** Nodes in processes of their own that serve random-weight models, and a reader that asks their routers. */
import { type GenerateEvent, memberRouters, type RouterProtocol } from "../../actors/mod.ts";
import type { ActorRef } from "../../runtime/mod.ts";
import { Observer } from "../observer.ts";
import { type ServeProcess, startServe } from "../serve_process.ts";
import type { ModelShape } from "../shapes.ts";
import { randomModel, writeFolder } from "../weights/mod.ts";

/** A level as `tandem.json` has it, apart from its name and its model. */
export type LevelSettings = Readonly<Record<string, unknown>>;

/** What a fleet is made of. */
export interface FleetOptions {
  /** The NATS server. */
  readonly nats: string;
  /** Names of its nodes; the first brings the configuration. */
  readonly nodes: readonly string[];
  /** The model of all families. */
  readonly shape: ModelShape;
  /** One level a family, by the family's name. */
  readonly families: Readonly<Record<string, LevelSettings>>;
}

/** A cluster of nodes with one thread each. */
export class Fleet implements AsyncDisposable {
  readonly observer: Observer;
  readonly #options: FleetOptions;
  readonly #dir: string;
  readonly #nodes = new Map<string, ServeProcess>();

  private constructor(options: FleetOptions, dir: string, observer: Observer) {
    this.#options = options;
    this.#dir = dir;
    this.observer = observer;
  }

  /** Writes the model and starts the nodes. */
  static async start(options: FleetOptions): Promise<Fleet> {
    const dir = await Deno.makeTempDir({ prefix: "fleet-" });
    writeFolder(`${dir}/model`, randomModel(options.shape, 1));
    const families = Object.entries(options.families).map(([name, settings]) => ({
      name,
      levels: [{ name: "one", model: `${dir}/model`, ...settings }],
    }));
    const config = { families, devices: [{ name: "cpu", threads: 1 }] };
    await Deno.writeTextFile(`${dir}/tandem.json`, JSON.stringify(config));
    const fleet = new Fleet(options, dir, await Observer.join(options.nats));
    await Promise.all(options.nodes.map((node) => fleet.join(node)));
    return fleet;
  }

  /** Starts a node, as at first or anew. */
  async join(node: string): Promise<void> {
    const { nats, nodes } = this.#options;
    const args = node === nodes[0] ? ["--config", `${this.#dir}/tandem.json`] : ["--threads", "1"];
    const options = { node, nats, args: [...args, "--log-level", "warn"] };
    this.#nodes.set(node, await startServe(options));
  }

  /** Kills a node; it does not get to say anything. */
  async kill(node: string): Promise<void> {
    await this.#nodes.get(node)!.kill();
  }

  /** Waits until so many replicas of a family are up. */
  async ready(family: string, replicas: number): Promise<void> {
    const up = () => this.observer.replicas.filter((replica) => replica.family === family).length;
    await this.observer.until(`${family} has ${replicas} replicas`, () => up() === replicas);
  }

  /** The router of a family on a node. */
  router(family: string, node: string): ActorRef<RouterProtocol> {
    const { membership, system } = this.observer;
    const routers = memberRouters(membership, system).routersOf(family);
    const router = routers.find(({ address }) => address.startsWith(`${node}/`));
    if (!router) throw new Error(`Cannot find a router of ${family} on: ${node}`);
    return router;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.#nodes.values()) await node.kill();
    await this.observer[Symbol.asyncDispose]();
    await Deno.remove(this.#dir, { recursive: true });
  }
}

/** Greedy tokens after a prompt that a number stands for, as they come. */
export async function* greedyTokens(
  router: ActorRef<RouterProtocol>,
  prompt: number,
  count: number,
): AsyncGenerator<number> {
  const events: AsyncIterable<GenerateEvent> = router.stream("generate", {
    id: `bench-${prompt}`,
    prompt: { kind: "ids", ids: Array.from({ length: 16 }, (_, i) => (7 * i + prompt) % 250) },
    maxTokens: count,
    stop: [],
    sampling: { temperature: 0 },
    logprobs: 0,
  }, { deadlineMs: 300_000 });
  for await (const event of events) {
    if (event.type === "text") { for (const { id } of event.tokens) yield id; }
  }
}
