import type { ExpertRequest, ModelSpec, Range, RemoteExperts } from "../../kernels/mod.ts";
import {
  ActorError,
  type ActorErrorCode,
  type ActorRef,
  type Logger,
  type System,
} from "../../runtime/mod.ts";
import { checkShardAnswer } from "../checks/mod.ts";
import type { ExpertShardProtocol, ShardRequest, WireFormat } from "../replica_protocol.ts";
import { fromWire, toWire } from "../wire.ts";
import { assign, type Assignment } from "./assignment.ts";
import { type ExpertHolder, ExpertPlaces, isIn } from "./places.ts";
import { addRows, choicesOf, gatherRows } from "./rows.ts";

/** The layers of a partition, and the shards that hold their experts. */
export interface ShardedLayers {
  /** The partition's layers. */
  readonly layers: Range;
  /** Experts that it holds itself; absent = all. */
  readonly localExperts?: Range;
  /** The shards; absent = none. */
  readonly expertShards?: readonly ExpertHolder[];
  /** How activations travel; `f32` by default. */
  readonly wire?: WireFormat;
}

/** A shard that does not answer in this time is taken for lost. */
const SHARD_DEADLINE_MS = 30_000;

/** Failures after which another holder of the same experts may help. */
const losses: ReadonlySet<ActorErrorCode> = new Set([
  "Terminated",
  "NoRoute",
  "Moved",
  "Timeout",
  "Overloaded",
]);

/**
 * How a partition asks expert shards: one message a shard and layer, with only the rows that its experts were
 * chosen for. The answers are added in the order of the shards, whichever comes first. Rows of a shard that is
 * lost are asked of another that holds the same experts; without one the step fails with `Terminated`.
 * `undefined` without shards. Throws `Denied` when an expert is held nowhere.
 */
export function askShards(
  system: System,
  spec: ModelSpec,
  { layers, expertShards = [], wire = "f32", ...rest }: ShardedLayers,
): RemoteExperts | undefined {
  if (expertShards.length === 0) return undefined;
  const local = rest.localExperts ?? { first: 0, count: spec.mixture?.experts ?? 0 };
  const places = new ExpertPlaces(system.clock, spec, expertShards, layers, local);
  const shards = expertShards.map(({ address }) => system.ref<ExpertShardProtocol>(address));
  return new ShardedExperts(shards, places, local, wire, system.log).apply;
}

class ShardedExperts {
  constructor(
    readonly shards: readonly ActorRef<ExpertShardProtocol>[],
    readonly places: ExpertPlaces,
    readonly local: Range,
    readonly wire: WireFormat,
    readonly log: Logger,
  ) {}

  readonly apply: RemoteExperts = async (request, signal) => {
    const { layer, tokens, x } = request;
    const sum = new Float32Array(x.length);
    const failed = new Set<number>();
    let experts: Int32Array = request.experts.map((expert) =>
      isIn(this.local, expert) ? -1 : expert
    );
    while (true) {
      const assignments = assign(
        { ...request, experts },
        (expert) => this.places.open(layer, expert, failed),
      );
      const asked = assignments.map((assignment) => this.#ask(assignment, request, signal));
      const lost: Assignment[] = [];
      for (const [i, result] of (await Promise.allSettled(asked)).entries()) {
        const { shard, rows } = assignments[i]!;
        if (result.status === "fulfilled") addRows(sum, rows, result.value);
        else {
          this.#lose(shard, result.reason);
          failed.add(shard);
          lost.push(assignments[i]!);
        }
      }
      if (lost.length === 0) return sum;
      experts = choicesOf(experts, lost, experts.length / tokens);
    }
  };

  /** Notes a loss; throws what no other holder of the same experts can help. */
  #lose(shard: number, error: unknown): void {
    if (!(error instanceof ActorError && losses.has(error.code))) throw error;
    this.places.lose(shard);
    const { address } = this.shards[shard]!;
    this.log.warn("Expert shard does not answer", { shard: address, error: error.message });
  }

  async #ask(
    { shard, rows, experts, weights }: Assignment,
    request: ExpertRequest,
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    const width = request.x.length / request.tokens;
    const x = toWire(gatherRows(request.x, rows, width), this.wire);
    const message: ShardRequest = {
      layer: request.layer,
      tokens: rows.length,
      x,
      experts,
      weights,
    };
    const answer = await this.shards[shard]!.ask("apply", message, {
      deadlineMs: SHARD_DEADLINE_MS,
      transfer: [x.buffer],
      ...(signal && { signal }),
    });
    checkShardAnswer(answer);
    if (answer.length === rows.length * width) return fromWire(answer);
    throw new ActorError(
      "AppError",
      `Cannot add an expert shard's answer of length: ${answer.length}`,
    );
  }
}
