import assert from "node:assert/strict";
import fc from "fast-check";
import type { KernelErrorCode } from "../../../kernels/errors.ts";
import { parseModelSpec } from "../../../kernels/models/mod.ts";
import { modelCases } from "./architectures.ts";
import { assertClear, assertRefused } from "./refusal.ts";

const llama = {
  architectures: ["LlamaForCausalLM"],
  hidden_size: 64,
  num_hidden_layers: 4,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  intermediate_size: 172,
  vocab_size: 512,
  max_position_embeddings: 256,
};
const qwenMoe = {
  ...llama,
  num_experts: 8,
  num_experts_per_tok: 2,
  moe_intermediate_size: 48,
  shared_expert_intermediate_size: 96,
};
const as = (architecture: string, fields: object = {}) =>
  parseModelSpec({ ...llama, architectures: [`${architecture}ForCausalLM`], ...fields });

Deno.test("parseModelSpec() reads the sizes and defaults of a Llama", () => {
  assert.deepEqual(parseModelSpec(llama), {
    architecture: "llama",
    dim: 64,
    layers: 4,
    heads: 8,
    kvHeads: 4,
    headDim: 8,
    ffn: 172,
    vocab: 512,
    maxPositions: 256,
    eps: 1e-6,
    theta: 10_000,
    scaling: { kind: "default" },
    qkvBias: false,
    outputBias: false,
    queryKeyNorm: "none",
    windows: [undefined, undefined, undefined, undefined],
    tiedEmbeddings: false,
  });
});

Deno.test("parseModelSpec() reads null as absent and ignores fields of training", () => {
  const spec = parseModelSpec({
    ...llama,
    head_dim: null,
    num_key_value_heads: null,
    rope_scaling: null,
    attention_dropout: 0.1,
    torch_dtype: "bfloat16",
  });
  assert.equal(spec.headDim, 8);
  assert.equal(spec.kvHeads, 8);
});

Deno.test("parseModelSpec() gives biases and head norms to the lines that have them", () => {
  const facts = (architecture: string, fields: object = {}) => {
    const { qkvBias, outputBias, queryKeyNorm } = as(architecture, {
      ...qwenMoe,
      architectures: [`${architecture}ForCausalLM`],
      ...fields,
    });
    return [qkvBias, outputBias, queryKeyNorm !== "none"];
  };
  assert.deepEqual(facts("Llama", { attention_bias: true }), [true, true, false]);
  assert.deepEqual(facts("Mistral", { attention_bias: true }), [false, false, false]);
  assert.deepEqual(facts("Mixtral"), [false, false, false]);
  assert.deepEqual(facts("Qwen2"), [true, false, false]);
  assert.deepEqual(facts("Qwen2Moe"), [true, false, false]);
  assert.deepEqual(facts("Qwen2Moe", { qkv_bias: false }), [false, false, false]);
  assert.deepEqual(facts("Qwen3"), [false, false, true]);
  assert.deepEqual(facts("Qwen3", { attention_bias: true }), [true, true, true]);
  assert.deepEqual(facts("Qwen3Moe"), [false, false, true]);
});

Deno.test("parseModelSpec() gives each layer the window that its line gives it", () => {
  const none = [undefined, undefined, undefined, undefined];
  const qwen = { ...qwenMoe, sliding_window: 9, use_sliding_window: true, max_window_layers: 3 };
  const windows = (architecture: string, fields: object) =>
    as(architecture, { ...fields, architectures: [`${architecture}ForCausalLM`] }).windows;
  assert.deepEqual(windows("Llama", { sliding_window: 9 }), none);
  assert.deepEqual(windows("Mistral", { sliding_window: 9 }), [9, 9, 9, 9]);
  assert.deepEqual(windows("Mistral", { sliding_window: null }), none);
  assert.deepEqual(windows("Mistral", {}), [4096, 4096, 4096, 4096]);
  assert.deepEqual(windows("Mixtral", {}), none);
  assert.deepEqual(windows("Mixtral", { sliding_window: 9 }), [9, 9, 9, 9]);
  assert.deepEqual(windows("Qwen2", qwen), [undefined, undefined, undefined, 9]);
  assert.deepEqual(windows("Qwen2", { ...qwen, use_sliding_window: false }), none);
  assert.deepEqual(windows("Qwen2", { ...qwen, max_window_layers: undefined }), none);
  assert.deepEqual(windows("Qwen2Moe", qwen), [9, undefined, 9, undefined]);
  assert.deepEqual(windows("Qwen2Moe", { ...qwen, sliding_window: 0 }), none);
  assert.deepEqual(windows("Qwen3Moe", qwen), [9, 9, 9, 9]);
  const layer_types = ["sliding_attention", "full_attention", "full_attention", "full_attention"];
  assert.deepEqual(windows("Qwen3", { ...qwen, layer_types }), [9, ...none.slice(1)]);
});

Deno.test("parseModelSpec() reads mixtures", () => {
  const every = [true, true, true, true];
  assert.deepEqual(as("Mixtral", { num_local_experts: 6, num_experts_per_tok: 3 }).mixture, {
    experts: 6,
    topK: 3,
    ffn: 172,
    normalise: true,
    sharedFfn: 0,
    layers: every,
  });
  const qwen2 = as("Qwen2Moe", {
    ...qwenMoe,
    architectures: ["Qwen2MoeForCausalLM"],
    decoder_sparse_step: 2,
    mlp_only_layers: [1],
  });
  assert.deepEqual(qwen2.mixture, {
    experts: 8,
    topK: 2,
    ffn: 48,
    normalise: false,
    sharedFfn: 96,
    layers: [false, false, false, true],
  });
  const qwen3 = as("Qwen3Moe", {
    ...qwenMoe,
    architectures: ["Qwen3MoeForCausalLM"],
    num_experts: undefined,
    num_local_experts: 8,
    norm_topk_prob: true,
  });
  assert.deepEqual(qwen3.mixture, {
    experts: 8,
    topK: 2,
    ffn: 48,
    normalise: true,
    sharedFfn: 0,
    layers: every,
  });
  assert.equal(as("Mixtral").theta, 1e6);
});

Deno.test("parseModelSpec() reads rope_scaling and rope_parameters", () => {
  const llama3 = {
    rope_type: "llama3",
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 128,
  };
  const old = parseModelSpec({
    ...llama,
    rope_theta: 7,
    rope_scaling: { type: "linear", factor: 2 },
  });
  assert.deepEqual([old.theta, old.scaling], [7, { kind: "linear", factor: 2 }]);
  const now = parseModelSpec({ ...llama, rope_parameters: { ...llama3, rope_theta: 5e5 } });
  assert.equal(now.theta, 5e5);
  assert.deepEqual(now.scaling, {
    kind: "llama3",
    factor: 8,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalPositions: 128,
  });
});

const refusals: readonly [object, KernelErrorCode, ...string[]][] = [
  [{ hidden_size: undefined }, "InvalidModel", "hidden_size"],
  [{ architectures: undefined }, "InvalidModel", "architectures"],
  [{ vocab_size: "512" }, "InvalidModel", "vocab_size", '"512"', "number"],
  [{ vocab_size: null }, "InvalidModel", "vocab_size", "null"],
  [{ num_hidden_layers: 2.5 }, "InvalidModel", "num_hidden_layers", "2.5"],
  [{ num_hidden_layers: 0 }, "InvalidModel", "num_hidden_layers", ": 0"],
  [{ num_attention_heads: -8 }, "InvalidModel", "num_attention_heads", "-8"],
  [{ architectures: "LlamaForCausalLM" }, "InvalidModel", "architectures", '"Llama'],
  [{ architectures: [] }, "InvalidModel", "architectures", "[]"],
  [{ architectures: ["GPT2LMHeadModel"] }, "Unsupported", "architectures", "GPT2LMHeadModel"],
  [{ architectures: ["constructor", "\n"] }, "Unsupported", '["constructor","\\n"]'],
  [{ rope_scaling: { rope_type: "yarn", factor: 4 } }, "Unsupported", "rope_type", '"yarn"'],
  [{ rope_scaling: { type: "dynamic" } }, "Unsupported", "rope_type", '"dynamic"'],
  [{ rope_scaling: { rope_type: "linear" } }, "InvalidModel", "linear", "factor"],
  [{ rope_scaling: { rope_type: "linear", factor: "2" } }, "InvalidModel", "rope_scaling.factor"],
  [{ rope_scaling: "linear" }, "InvalidModel", "rope_scaling", '"linear"'],
  [
    { rope_parameters: { full_attention: { rope_type: "default" } } },
    "InvalidModel",
    "rope_parameters.full_attention",
  ],
  [
    {
      rope_scaling: {
        rope_type: "llama3",
        factor: 8,
        low_freq_factor: 4,
        high_freq_factor: 4,
        original_max_position_embeddings: 64,
      },
    },
    "InvalidModel",
    "low_freq_factor",
    ": 4",
  ],
  [{ rope_theta: 0 }, "InvalidModel", "rope_theta", ": 0"],
  [{ head_dim: 7 }, "InvalidModel", "head_dim", ": 7"],
  [{ hidden_size: 4 }, "InvalidModel", "head_dim", ": 0"],
  [{ num_key_value_heads: 3 }, "InvalidModel", "num_key_value_heads", ": 8"],
  [{ mlp_bias: true }, "Unsupported", "mlp_bias", "true"],
  [{ hidden_act: "gelu" }, "Unsupported", "hidden_act", '"gelu"'],
  [{ partial_rotary_factor: 0.5 }, "Unsupported", "partial_rotary_factor", "0.5"],
  [{ rope_parameters: { partial_rotary_factor: 0.5 } }, "Unsupported", "partial_rotary_factor"],
  [{ hidden_size: 2 ** 40 }, "InvalidModel", "hidden_size", "1099511627776"],
  [{ num_hidden_layers: 1e9 }, "InvalidModel", "num_hidden_layers", "1000000000"],
  [{ num_local_experts: 1e6 }, "InvalidModel", "num_local_experts", "1000000"],
  [{ rms_norm_eps: -1 }, "InvalidModel", "rms_norm_eps", "-1"],
  [{ layer_types: ["full_attention"] }, "InvalidModel", "layer_types", ": 1"],
  [
    { architectures: ["MixtralForCausalLM"], num_local_experts: 2, num_experts_per_tok: 3 },
    "InvalidModel",
    "num_experts_per_tok",
    ": 3",
  ],
  [
    { ...qwenMoe, architectures: ["Qwen3MoeForCausalLM"], num_experts_per_tok: 9 },
    "InvalidModel",
    "num_experts_per_tok",
    ": 9",
  ],
  [
    { ...qwenMoe, architectures: ["Qwen3MoeForCausalLM"], num_experts: undefined },
    "InvalidModel",
    "num_experts",
  ],
  [
    { ...qwenMoe, architectures: ["Qwen2MoeForCausalLM"], shared_expert_intermediate_size: null },
    "InvalidModel",
    "shared_expert_intermediate_size",
  ],
];

for (const [fields, code, ...mentions] of refusals) {
  Deno.test(`parseModelSpec() refuses ${JSON.stringify(fields).slice(0, 90)}: ${mentions[0]}`, () => {
    assertRefused(() => parseModelSpec({ ...llama, ...fields }), code, ...mentions);
  });
}

Deno.test("parseModelSpec() refuses what is no object", () => {
  for (const json of [undefined, null, 1, "x", [], [llama], true]) {
    assertRefused(() => parseModelSpec(json), "InvalidModel");
  }
});

Deno.test("parseModelSpec() throws nothing but KernelError on random JSON", () => {
  fc.assert(fc.property(fc.jsonValue(), neverBreaks), { numRuns: 300 });
});

Deno.test("parseModelSpec() throws nothing but KernelError on configurations with a random field", () => {
  const configs = modelCases.map(({ config }) => config as unknown as Record<string, unknown>);
  const fields = [...new Set(configs.flatMap((config) => Object.keys(config)))];
  const scaling = fc.dictionary(
    fc.constantFrom("rope_type", "type", "factor", "rope_theta", "low_freq_factor", "\n"),
    fc.jsonValue({ maxDepth: 1 }),
  );
  const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.integer(), fc.double(), scaling);
  const broken = fc.tuple(fc.constantFrom(...configs), fc.constantFrom(...fields), value)
    .map(([config, field, value]) => ({ ...config, [field]: value }));
  fc.assert(fc.property(broken, neverBreaks), { numRuns: 2000 });
});

function neverBreaks(json: unknown): void {
  try {
    const { windows, layers } = parseModelSpec(json);
    assert.equal(windows.length, layers);
  } catch (error) {
    assertClear(error);
  }
}
