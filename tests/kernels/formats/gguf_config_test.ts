import assert from "node:assert/strict";
import { openGguf } from "../../../kernels/formats/mod.ts";
import { parseModelSpec } from "../../../kernels/models/mod.ts";
import { inverseFrequencies } from "../../../kernels/models/rotary.ts";
import {
  encodeGguf,
  f32,
  type GgufTensorToWrite,
  list,
  patterned,
  smallMetadata,
  text,
  type TypedValue,
  u32,
} from "./gguf_support.ts";
import { assertRefused, withFolder } from "./support.ts";

type Metadata = Readonly<Record<string, TypedValue>>;

const embedding = patterned("token_embd.weight", [40, 32]);

/** The configuration of a small model, and how to generate with it. */
async function describe(metadata: Metadata, tensors: readonly GgufTensorToWrite[] = []) {
  let described: Pick<ReturnType<typeof openGguf>, "config" | "generationConfig"> | undefined;
  await withFolder((dir) => {
    const path = `${dir}/model.gguf`;
    Deno.writeFileSync(path, encodeGguf({ metadata, tensors: [embedding, ...tensors] }));
    const { config, generationConfig, close } = openGguf(path);
    described = { config, generationConfig };
    close();
  });
  return described!;
}

async function specOf(metadata: Metadata, tensors: readonly GgufTensorToWrite[] = []) {
  return parseModelSpec((await describe(metadata, tensors)).config);
}

const mixture = { expert_count: u32(4), expert_used_count: u32(2) };

Deno.test("openGguf() gives the configuration of a dense model", async () => {
  const { config } = await describe(smallMetadata("llama", { "rope.freq_base": f32(5e5) }));
  assert.deepEqual(config, {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_act: "silu",
    hidden_size: 32,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 8,
    intermediate_size: 64,
    vocab_size: 40,
    max_position_embeddings: 128,
    rms_norm_eps: 1e-5,
    rope_theta: 5e5,
    rope_scaling: null,
    attention_bias: false,
    tie_word_embeddings: true,
    sliding_window: null,
  });
});

Deno.test("openGguf() gives each model line's facts", async () => {
  const llama = await specOf(smallMetadata("llama"), [patterned("output.weight", [40, 32])]);
  assert.equal(llama.tiedEmbeddings, false);
  const qwen2 = await specOf(smallMetadata("qwen2"));
  assert.equal(qwen2.architecture, "qwen2");
  assert.equal(qwen2.qkvBias, true);
  const wide = { "attention.key_length": u32(16), "attention.value_length": u32(16) };
  const qwen3 = await specOf(smallMetadata("qwen3", wide));
  assert.deepEqual([qwen3.architecture, qwen3.queryKeyNorm, qwen3.headDim], ["qwen3", "head", 16]);
  const mixtral = await specOf(smallMetadata("llama", mixture));
  assert.deepEqual([mixtral.architecture, mixtral.mixture?.ffn], ["mixtral", 64]);
});

Deno.test("openGguf() gives the mixtures of each model line", async () => {
  const router = patterned("blk.1.ffn_gate_inp.weight", [4, 32]);
  const sizes = { expert_feed_forward_length: u32(24), expert_shared_feed_forward_length: u32(48) };
  const qwen2 = await specOf(smallMetadata("qwen2moe", { ...mixture, ...sizes }), [router]);
  assert.deepEqual(qwen2.mixture, {
    experts: 4,
    topK: 2,
    ffn: 24,
    normalise: false,
    sharedFfn: 48,
    layers: [false, true],
  });
  const stacks = [
    router,
    patterned("blk.1.ffn_gate_exps.weight", [4, 24, 32]),
    patterned("blk.1.ffn_gate_shexp.weight", [48, 32]),
  ];
  assert.deepEqual(
    (await specOf(smallMetadata("qwen2moe", mixture), stacks)).mixture,
    qwen2.mixture,
  );
  const qwen3 = await specOf(smallMetadata("qwen3moe", { ...mixture, ...sizes }), [router]);
  assert.deepEqual([qwen3.mixture?.normalise, qwen3.mixture?.sharedFfn], [true, 0]);
  const { config } = await describe(smallMetadata("olmoe", mixture), stacks.slice(0, 2));
  assert.deepEqual(config["architectures"], ["OlmoeForCausalLM"]);
  assert.deepEqual([config["num_experts"], config["moe_intermediate_size"]], [4, 24]);
  assert.equal(config["norm_topk_prob"], false);
});

Deno.test("openGguf() gives rotary scaling", async () => {
  const scaled = (more: Metadata) => specOf(smallMetadata("llama", more));
  const type = (name: string) => ({ "rope.scaling.type": text(name) });
  assert.deepEqual((await scaled({ ...type("linear"), "rope.scaling.factor": f32(4) })).scaling, {
    kind: "linear",
    factor: 4,
  });
  assert.deepEqual((await scaled({ "rope.scale_linear": f32(2) })).scaling, {
    kind: "linear",
    factor: 2,
  });
  assert.deepEqual((await scaled(type("none"))).scaling, { kind: "default" });
  await assert.rejects(scaled({ ...type("yarn"), "rope.scaling.factor": f32(4) }), /yarn/);
  await assert.rejects(scaled({ "rope.dimension_count": u32(4) }), /partial_rotary_factor/);
});

/** `rope_freqs.weight` as converters write it: by how much each frequency is divided. */
function factorsOf(headDim: number, theta: number, scaling: object): GgufTensorToWrite {
  const table = (scaling: object) =>
    inverseFrequencies({ headDim, theta, scaling: scaling as { kind: "default" } });
  const [plain, scaled] = [table({ kind: "default" }), table({ kind: "llama3", ...scaling })];
  const factors = Float32Array.from(plain, (frequency, i) => frequency / scaled[i]!);
  const data = new Uint8Array(factors.buffer);
  return { name: "rope_freqs.weight", dims: [headDim / 2], type: 0, data };
}

Deno.test("openGguf() finds the llama3 scaling of rotary factors", async () => {
  for (const headDim of [8, 64, 128]) {
    for (const factor of [8, 32]) {
      const scaling = {
        factor,
        lowFrequencyFactor: 1,
        highFrequencyFactor: 4,
        originalPositions: 8192,
      };
      const metadata = smallMetadata("llama", {
        "rope.freq_base": f32(5e5),
        "attention.key_length": u32(headDim),
        "attention.value_length": u32(headDim),
      });
      const spec = await specOf(metadata, [factorsOf(headDim, 5e5, scaling)]);
      assert.deepEqual(spec.scaling, { kind: "llama3", ...scaling }, `${headDim}, ${factor}`);
    }
  }
});

Deno.test("openGguf() refuses rotary factors of other kinds", async () => {
  const factors = (values: number[]): GgufTensorToWrite => ({
    name: "rope_freqs.weight",
    dims: [values.length],
    type: 0,
    data: new Uint8Array(new Float32Array(values).buffer),
  });
  const metadata = smallMetadata("llama");
  assert.deepEqual((await specOf(metadata, [factors([1, 1, 1, 1])])).scaling, { kind: "default" });
  for (const values of [[1, 3, 2, 8], [8, 1, 1, 1], [NaN, 1, 2, 3], [0, 0, 0, 0], [1, 2, 3, -4]]) {
    await assert.rejects(describe(metadata, [factors(values)]), /rope_freqs.weight/);
  }
  const long = patterned("rope_factors_long.weight", [4]);
  await assert.rejects(describe(metadata, [long]), /rope_factors_long/);
});

Deno.test("openGguf() names every token that ends a generation", async () => {
  const { generationConfig } = await describe({
    ...smallMetadata("llama"),
    "tokenizer.ggml.tokens": list(8, ["<s>", "</s>", "<|eot_id|>", "<|im_end|>", "a", "p"]),
    "tokenizer.ggml.token_type": list(5, [3, 3, 3, 1, 1, 3]),
    "tokenizer.ggml.bos_token_id": u32(0),
    "tokenizer.ggml.eos_token_id": u32(1),
    "tokenizer.ggml.eot_token_id": u32(4),
    "tokenizer.ggml.padding_token_id": u32(5),
    "tokenizer.ggml.eom_token_id": u32(0xffffffff),
  });
  assert.deepEqual(generationConfig, { bosTokenId: 0, eosTokenIds: [1, 4, 2], padTokenId: 5 });
});

Deno.test("openGguf() refuses metadata that is missing or of a wrong type", async () => {
  const { "llama.block_count": _, ...without } = smallMetadata("llama");
  const refused = async (metadata: Metadata, pattern: RegExp) =>
    await assert.rejects(describe(metadata), (error) => {
      assertRefused(
        () => {
          throw error;
        },
        (error as { code: "Unsupported" }).code,
        "",
      );
      return pattern.test((error as Error).message);
    });
  await refused({}, /general.architecture/);
  await refused(smallMetadata("gptneox"), /gptneox/);
  await refused(smallMetadata("constructor"), /constructor/);
  await refused(without, /llama.block_count/);
  await refused(smallMetadata("llama", { block_count: text("2") }), /block_count.*"2"/);
  await refused(smallMetadata("llama", { block_count: f32(NaN) }), /block_count/);
  await refused(
    smallMetadata("llama", { "attention.head_count_kv": list(5, [2, 1]) }),
    /head_count_kv.*\[2,1\]/,
  );
  for (const heads of [0, 1.5, -4]) {
    await refused(smallMetadata("llama", { "attention.head_count": f32(heads) }), /head_count/);
  }
  await refused(smallMetadata("llama", { "attention.value_length": u32(4) }), /value length 4/);
  await refused(smallMetadata("qwen3moe", { expert_count: u32(4) }), /expert_used_count/);
});

Deno.test("openGguf() takes one value a layer when all agree", async () => {
  const more = { "attention.head_count_kv": list(5, [1, 1]) };
  assert.equal((await specOf(smallMetadata("llama", more))).kvHeads, 1);
});
