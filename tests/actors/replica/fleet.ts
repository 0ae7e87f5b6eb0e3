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
  type MemoryNetworkOptions,
  seededRng,
  type System,
} from "../../../runtime/mod.ts";
import { fakePartition, type StageStart, VOCAB } from "./fake_model.ts";

/** Faults of a network. */
export type Faults = Pick<
  MemoryNetworkOptions,
  "latencyMs" | "loss" | "duplicate" | "reorder"
>;

const sound: Required<Faults> = { latencyMs: 0, loss: 0, duplicate: 0, reorder: 0 };

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
  readonly faults?: Faults;
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

/**
 * A running fleet: stage `i` of every replica is on node `n<i>`, the replicas are on `n0`, who asks is on a node
 * of its own. A replica that supervision gives up on is started anew.
 */
export class Fleet implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly log: StageStart[] = [];
  readonly network: MemoryNetwork;
  readonly client: System;
  readonly systems: readonly System[];
  readonly replicas: ActorRef<ReplicaProtocol>[] = [];
  readonly #options: FleetOptions;
  readonly #limits: ReplicaArgs["limits"];
  readonly #faults: MemoryNetworkOptions;
  #isClosing = false;

  private constructor(options: FleetOptions) {
    this.#options = options;
    this.#limits = { ...fleetLimits, ...options.limits };
    const { clock } = this;
    const rng = seededRng(options.seed ?? 1);
    this.#faults = { clock, rng: rng.split("network"), ...options.faults };
    this.network = createMemoryNetwork(this.#faults);
    const kinds = [this.#partition(), Replica];
    const log = createLogger({ level: "silent" });
    const join = (node: string) => {
      const transport = this.network.connect(node);
      return createSystem({ node, clock, rng: rng.split(node), transport, kinds, log });
    };
    this.client = join("client");
    this.systems = options.costsMs.map((_, i) => join(`n${i}`));
  }

  /** Starts all replicas. */
  static async start(options: FleetOptions): Promise<Fleet> {
    const fleet = new Fleet(options);
    for (let i = 0; i < (options.replicas ?? 1); i++) {
      const partitions: string[] = [];
      for (const stage of fleet.systems.keys()) {
        partitions.push(await fleet.startPartition(i, stage));
      }
      fleet.#startReplica(`r${i}`, partitions);
      fleet.replicas.push(fleet.client.ref(`n0/main/replica/r${i}`));
    }
    return fleet;
  }

  /** Changes the faults of the network; those not given end. */
  trouble(faults: Faults): void {
    Object.assign(this.#faults, sound, faults);
  }

  /** Starts the partition of a stage of a replica. */
  async startPartition(replica: number, stage: number): Promise<string> {
    const args = {
      layers: { first: stage, count: 1 },
      pageSize: this.#limits.pageSize,
      capacity: stepCapacity(this.#limits),
    };
    const id = `r${replica}-${stage}`;
    const system = this.systems[stage]!;
    const spawned = system.spawnOn(`n${stage}/main`, "partition", args, { id });
    return (await this.until(spawned)).address;
  }

  /** Stops the partition of a stage of a replica; what is asked of it from now on fails. */
  async stopPartition(replica: number, stage: number): Promise<void> {
    const address = `n${stage}/main/partition/r${replica}-${stage}`;
    await this.until(this.systems[stage]!.stop({ address }));
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
    this.#isClosing = true;
    for (const system of [...this.systems, this.client]) await this.until(system.shutdown());
  }

  #startReplica(id: string, partitions: readonly string[]): void {
    const args: ReplicaArgs = { partitions, limits: this.#limits, ...this.#options.args };
    const [system] = this.systems;
    system!.watch(system!.spawn(Replica, args, { id }), () => {
      if (!this.#isClosing) this.#startReplica(id, partitions);
    });
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
