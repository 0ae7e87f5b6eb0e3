/** Experts in shards, asked as plainly as can be: every shard for all rows. */
import type { Backend } from "../../../kernels/backend.ts";
import type { WeightSource } from "../../../kernels/formats/mod.ts";
import {
  type ExpertRequest,
  ExpertShard,
  type ModelSpec,
  type RemoteExperts,
} from "../../../kernels/models/mod.ts";

/** Loads shards that hold these experts of every layer, each on its own backend. */
export async function shardedExperts(
  createBackend: () => Backend | Promise<Backend>,
  spec: ModelSpec,
  weights: WeightSource,
  tokens: number,
  held: readonly (readonly number[])[],
): Promise<RemoteExperts> {
  const layers = { first: 0, count: spec.layers };
  const shards: ExpertShard[] = [];
  for (const experts of held) {
    const options = { holds: [{ layers, experts }], tokens };
    shards.push(new ExpertShard(await createBackend(), spec, weights, options));
  }
  return async (request: ExpertRequest) => {
    const sum = new Float32Array(request.x.length);
    for (const [i, shard] of shards.entries()) {
      const experts = request.experts.map((expert) => held[i]!.indexOf(expert));
      (await shard.apply({ ...request, experts })).forEach((value, at) => sum[at]! += value);
    }
    return sum;
  };
}
