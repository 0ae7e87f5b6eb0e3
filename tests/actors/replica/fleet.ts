/** Replicas over the fake model, one node a stage, on a memory network with a clock that is moved by hand. */
import {
  definePartitionOf,
  Replica,
  type ReplicaArgs,
  stepCapacity,
} from "../../../actors/replica/mod.ts";
import type { PartitionArgs } from "../../../actors/replica/mod.ts";
import type { ReplicaProtocol, ReplicaRequest } from "../../../actors/replica_protocol.ts";
import {
  type ActorRef,
  createLogger,
  createMemoryNetwork,
  createSystem,
  FakeClock,
  type MemoryNetwork,
  seededRng,
  type System,
} from "../../../runtime/mod.ts";
import { fakePartition, type StageStart, VOCAB } from "./fake_model.ts";

/** How a fleet is made. */
export interface FleetOptions {
  /** What a step costs each stage, in milliseconds; as many stages. */
  readonly costsMs: readonly number[];
  /** Replicas, each with stages of its own; 1 by default. */
  readonly replicas?: number;
  /** Fields of the replicas' arguments that are not as by default. */
  readonly args?: Partial<Omit<ReplicaArgs, "partitions" | "limits">>;
  /** Limits that are not as by default. */
  readonly limits?: Partial<ReplicaArgs["limits"]>;
  /** Faults of the network. */
  readonly faults?: Partial<Parameters<typeof createMemoryNetwork>[0]>;
  /** What faults follow from. */
  readonly seed?: number;
}

/** Limits that short tests reach. */
export const fleetLimits = {
  tokens: 32,
  sequences: 8,
  waiting: 16,
  context: 96,
  pages: 64,
  pageSize: 4,
} as const;

/** A running fleet: stage `i` of every replica is on node `n<i>`, the replicas are on `n0`. */
export class Fleet implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly log: StageStart[] = [];
  readonly network: MemoryNetwork;
  readonly systems: readonly System[];
  readonly replicas: ActorRef<ReplicaProtocol>[] = [];
  readonly #options: FleetOptions;
  readonly #limits: ReplicaArgs["limits"];

  private constructor(options: FleetOptions) {
    this.#options = options;
    this.#limits = { ...fleetLimits, ...options.limits };
    const { clock } = this;
    const rng = seededRng(options.seed ?? 1);
    this.network = createMemoryNetwork({ clock, rng: rng.split("network"), ...options.faults });
    this.systems = options.costsMs.map((_, i) => {
      const node = `n${i}`;
      const transport = this.network.connect(node);
      const kinds = [this.#partition(), Replica];
      const log = createLogger({ level: "silent" });
      return createSystem({ node, clock, rng: rng.split(node), transport, kinds, log });
    });
  }

  /** Starts all replicas. */
  static async start(options: FleetOptions): Promise<Fleet> {
    const fleet = new Fleet(options);
    for (let i = 0; i < (options.replicas ?? 1); i++) await fleet.#startReplica(i);
    return fleet;
  }

  /** Starts the partition of a stage of a replica. */
  async startPartition(replica: number, stage: number): Promise<string> {
    const args = {
      layers: { first: stage, count: 1 },
      pageSize: this.#limits.pageSize,
      capacity: stepCapacity(this.#limits),
    };
    const id = `r${replica}-${stage}`;
    const spawned = this.systems[0]!.spawnOn(`n${stage}/main`, "partition", args, { id });
    return (await this.until(spawned)).address;
  }

  /** Moves the clock on until a promise has settled. */
  async until<T>(work: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = () => isSettled = true;
    work.then(settle, settle);
    for (await this.clock.settle(); !isSettled;) await this.clock.advance(10);
    return await work;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const system of this.systems) await this.until(system.shutdown());
  }

  async #startReplica(index: number): Promise<void> {
    const partitions: string[] = [];
    for (const stage of this.systems.keys()) {
      partitions.push(await this.startPartition(index, stage));
    }
    const args: ReplicaArgs = { partitions, limits: this.#limits, ...this.#options.args };
    const replica = this.systems[0]!.spawn(Replica, args, { id: `r${index}` });
    this.replicas.push(this.systems[0]!.ref<ReplicaProtocol>(replica.address));
  }

  #partition() {
    const { clock, log } = this;
    const since = clock.now();
    const { costsMs } = this.#options;
    return definePartitionOf((_context, { layers, pageSize }: PartitionArgs) => {
      const stage = layers.first;
      const begin = (tokens: number) => log.push({ stage, at: clock.now() - since, tokens });
      const of = costsMs.length;
      return Promise.resolve(
        fakePartition({ stage, of, costMs: costsMs[stage]!, pageSize, clock, begin }),
      );
    });
  }
}

/** A greedy request. */
export function request(
  prompt: readonly number[],
  maxTokens: number,
  changes: Partial<ReplicaRequest> = {},
): ReplicaRequest {
  return {
    id: prompt.join("-"),
    ids: Int32Array.from(prompt),
    promptLength: prompt.length,
    maxTokens,
    eosIds: [],
    sampling: {
      temperature: 0,
      topK: 0,
      topP: 1,
      minP: 0,
      repetitionPenalty: 1,
      presencePenalty: 0,
      frequencyPenalty: 0,
      seed: 0,
    },
    alternatives: 0,
    ...changes,
  };
}

/** Greedy ids after a prompt. */
export async function generate(
  replica: ActorRef<ReplicaProtocol>,
  prompt: readonly number[],
  maxTokens: number,
): Promise<number[]> {
  const ids: number[] = [];
  for await (const { id } of replica.stream("generate", request(prompt, maxTokens))) ids.push(id);
  return ids;
}

/** Prompts of different lengths that have nothing in common. */
export function prompts(count: number): number[][] {
  return Array.from(
    { length: count },
    (_, i) => Array.from({ length: 1 + i * 5 % 17 }, (_, at) => (i * 37 + at * 11 + 3) % VOCAB),
  );
}
