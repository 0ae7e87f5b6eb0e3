import assert from "node:assert/strict";
import { modelCases } from "./architectures.ts";
import { randomCheckpoint } from "./checkpoint.ts";
import { type HubConfig, oracleLogits, type Tensors } from "./oracle.ts";

const ids = Array.from({ length: 23 }, (_, i) => (i * 29 + 5) % 67);

/** What each model of the tests is there to show: taken away, its logits must change. */
const features: readonly [model: string, taken: string, Partial<HubConfig> | "bias"][] = [
  ["Llama with attention_bias, tied", "biases", "bias"],
  ["Llama with rope_scaling llama3, in shards", "rope_scaling", { rope_scaling: null }],
  ["Llama with rope_parameters linear", "factor", {
    rope_parameters: { rope_type: "default", rope_theta: 5000 },
  }],
  ["Mistral with sliding_window", "a token of the window", { sliding_window: 4 }],
  ["Qwen2 with windows above max_window_layers, tied", "biases", "bias"],
  ["Qwen2 with windows above max_window_layers, tied", "a sliding layer", { max_window_layers: 2 }],
  ["Qwen3 with wide heads and layer_types", "the sliding layer", { use_sliding_window: false }],
  ["Mixtral", "an expert", { num_experts_per_tok: 1 }],
  ["Qwen2-MoE with a shared expert and dense layers", "plain weights", { norm_topk_prob: true }],
  ["Qwen2-MoE with a shared expert and dense layers", "a sliding layer", { max_window_layers: 2 }],
  ["Qwen3-MoE with normalised weights", "normalised weights", { norm_topk_prob: false }],
  ["Qwen3-MoE with normalised weights", "rope_theta", {
    rope_parameters: { rope_type: "default", rope_theta: 10_000 },
  }],
];

for (const [model, taken, change] of features) {
  Deno.test(`oracleLogits() of ${model} change without ${taken}`, () => {
    const { config, dtype } = modelCases.find(({ name }) => name === model)!;
    const { tensors } = randomCheckpoint(config, dtype, 1);
    const expected = oracleLogits(config, tensors, ids);
    const actual = change === "bias"
      ? oracleLogits(config, withoutBiases(tensors), ids)
      : oracleLogits({ ...config, ...change }, tensors, ids);
    const difference = expected.flatMap((row, t) =>
      [...row].map((x, i) => Math.abs(x - actual[t]![i]!))
    );
    assert(Math.max(...difference) > 0.05 * Math.max(...expected.flatMap((row) => [...row])));
  });
}

Deno.test("oracleLogits() of a position do not depend on later ones", () => {
  for (const { config, dtype } of modelCases) {
    const { tensors } = randomCheckpoint(config, dtype, 2);
    const whole = oracleLogits(config, tensors, ids);
    assert.deepEqual(oracleLogits(config, tensors, ids.slice(0, 9)), whole.slice(0, 9));
  }
});

function withoutBiases(tensors: Tensors): Tensors {
  return new Map([...tensors].filter(([name]) => !name.endsWith(".bias")));
}
