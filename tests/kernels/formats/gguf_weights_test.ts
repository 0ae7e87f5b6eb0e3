import assert from "node:assert/strict";
import { openGguf, weightInfo } from "../../../kernels/formats/mod.ts";
import {
  encodeGguf,
  ggml,
  type GgufTensorToWrite,
  patterned,
  smallMetadata,
  u32,
} from "./gguf_support.ts";
import { assertRefused, withFolder } from "./support.ts";

const embedding = patterned("token_embd.weight", [40, 32], ggml.q8_0);

function open(dir: string, contents: Parameters<typeof encodeGguf>[0]) {
  Deno.writeFileSync(`${dir}/model.gguf`, encodeGguf(contents));
  return openGguf(`${dir}/model.gguf`);
}

function readAll({ weights }: ReturnType<typeof openGguf>, name: string): Uint8Array {
  const bytes = new Uint8Array(weights.info(name)!.byteLength);
  weights.read(name, 0, bytes);
  return bytes;
}

/** Row `half * 4 + i` of each head of 8 rows is stored as row `2 * i + half`. */
function halfSplit({ data, dims }: GgufTensorToWrite): Uint8Array {
  const rows = dims[1]!;
  const rowBytes = data.length / rows;
  const result = new Uint8Array(data.length);
  for (let row = 0; row < rows; row++) {
    const [head, within] = [Math.floor(row / 8), row % 8];
    const stored = 8 * head + 2 * (within % 4) + Math.floor(within / 4);
    result.set(data.subarray(stored * rowBytes, (stored + 1) * rowBytes), row * rowBytes);
  }
  return result;
}

Deno.test("read() gives quantised rows whole, in the order of Hugging Face", async () => {
  await withFolder((dir) => {
    for (const type of [ggml.f32, ggml.f16, ggml.q8_0, ggml.q4_0]) {
      const q = patterned("blk.0.attn_q.weight", [32, 32], type);
      const k = patterned("blk.0.attn_k.weight", [16, 32], type);
      const v = patterned("blk.0.attn_v.weight", [16, 32], type);
      const tensors = [embedding, q, k, v];
      const at = "model.layers.0.self_attn";
      const llama = open(dir, { metadata: smallMetadata("llama"), tensors });
      assert.deepEqual(readAll(llama, `${at}.q_proj.weight`), halfSplit(q));
      assert.deepEqual(readAll(llama, `${at}.k_proj.weight`), halfSplit(k));
      assert.deepEqual(readAll(llama, `${at}.v_proj.weight`), v.data);
      llama.close();
      const qwen = open(dir, { metadata: smallMetadata("qwen2"), tensors });
      assert.deepEqual(readAll(qwen, `${at}.q_proj.weight`), q.data);
      qwen.close();
    }
  });
});

Deno.test("openGguf() serves stacked and single experts one by one", async () => {
  await withFolder((dir) => {
    const mixture = { expert_count: u32(3), expert_used_count: u32(2) };
    const gate = patterned("blk.0.ffn_gate_exps.weight", [3, 64, 256], ggml.q4_k);
    const down = patterned("blk.0.ffn_down_exps.weight", [3, 256, 256], ggml.q6_k);
    const single = patterned("blk.1.ffn_up.2.weight", [64, 32]);
    const router = patterned("blk.0.ffn_gate_inp.weight", [3, 256]);
    const tensors = [embedding, gate, down, single, router];
    const model = open(dir, { metadata: smallMetadata("llama", mixture), tensors });
    const at = "model.layers.0.block_sparse_moe";
    assert.deepEqual(model.weights.info(`${at}.experts.1.w1.weight`), {
      dtype: "q4_k",
      shape: [64, 256],
      byteLength: 64 * 144,
    });
    for (let e = 0; e < 3; e++) {
      const [rows, bytes] = [`${at}.experts.${e}.w1.weight`, 64 * 144];
      assert.deepEqual(readAll(model, rows), gate.data.slice(e * bytes, (e + 1) * bytes));
    }
    assert.equal(model.weights.info(`${at}.experts.2.w2.weight`)?.dtype, "q6_k");
    assert.deepEqual(readAll(model, `${at}.gate.weight`), router.data);
    const lone = "model.layers.1.block_sparse_moe.experts.2.w3.weight";
    assert.deepEqual(readAll(model, lone), single.data);
    const [beyond, into] = [`${at}.experts.2.w1.weight`, new Uint8Array(2)];
    assertRefused(() => model.weights.read(beyond, 64 * 144 - 1, into), "OutOfRange", beyond);
    model.close();
    assertRefused(() => model.weights.read(beyond, 0, into), "Closed", beyond);
  });
});

Deno.test("openGguf() names the tensors of Qwen's mixtures", async () => {
  await withFolder((dir) => {
    const mixture = { expert_count: u32(2), expert_used_count: u32(1) };
    const tensors = [
      embedding,
      patterned("output.weight", [40, 32]),
      patterned("output_norm.weight", [32]),
      patterned("blk.0.attn_norm.weight", [32]),
      patterned("blk.0.attn_q.bias", [32]),
      patterned("blk.0.attn_output.weight", [32, 32]),
      patterned("blk.0.attn_q_norm.weight", [8]),
      patterned("blk.0.ffn_norm.weight", [32]),
      patterned("blk.0.ffn_gate_inp.weight", [2, 32]),
      patterned("blk.0.ffn_up_exps.weight", [2, 16, 32]),
      patterned("blk.0.ffn_down_shexp.weight", [32, 48]),
      patterned("blk.0.ffn_gate_inp_shexp.weight", [32]),
      patterned("blk.1.ffn_down.weight", [32, 64]),
      patterned("blk.1.something_new.weight", [32]),
    ];
    const model = open(dir, { metadata: smallMetadata("qwen2moe", mixture), tensors });
    assert.deepEqual(model.weights.names(), [
      "model.embed_tokens.weight",
      "lm_head.weight",
      "model.norm.weight",
      "model.layers.0.input_layernorm.weight",
      "model.layers.0.self_attn.q_proj.bias",
      "model.layers.0.self_attn.o_proj.weight",
      "model.layers.0.self_attn.q_norm.weight",
      "model.layers.0.post_attention_layernorm.weight",
      "model.layers.0.mlp.gate.weight",
      "model.layers.0.mlp.experts.0.up_proj.weight",
      "model.layers.0.mlp.experts.1.up_proj.weight",
      "model.layers.0.mlp.shared_expert.down_proj.weight",
      "model.layers.0.mlp.shared_expert_gate.weight",
      "model.layers.1.mlp.down_proj.weight",
      "blk.1.something_new.weight",
    ]);
    const gate = model.weights.info("model.layers.0.mlp.shared_expert_gate.weight");
    assert.deepEqual(gate?.shape, [1, 32]);
    model.close();
  });
});

Deno.test("openGguf() lists types that are not computed with and refuses them by name", async () => {
  await withFolder((dir) => {
    const tensors = [embedding, patterned("output.weight", [4, 256], ggml.q5_k)];
    const { weights, close } = open(dir, { metadata: smallMetadata("llama"), tensors });
    assert.equal(weights.info("lm_head.weight")?.dtype, "q5_k");
    assertRefused(() => weightInfo(weights, "lm_head.weight"), "Unsupported", "q5_k");
    close();
  });
});

Deno.test("openGguf() refuses tensors that contradict the model", async () => {
  await withFolder((dir) => {
    const metadata = smallMetadata("llama", { expert_count: u32(2), expert_used_count: u32(1) });
    const opening = (...tensors: GgufTensorToWrite[]) => () =>
      open(dir, { metadata, tensors: [embedding, ...tensors] });
    const odd = patterned("blk.0.attn_q.weight", [12, 32]);
    assertRefused(opening(odd), "Mismatch", "4 heads");
    const flat = patterned("blk.0.ffn_up_exps.weight", [2, 32]);
    assertRefused(opening(flat), "Mismatch", "stacked experts");
    const many = patterned("blk.0.ffn_up_exps.weight", [5000, 1, 32]);
    assertRefused(opening(many), "Mismatch", "5000");
    const stacked = patterned("blk.0.ffn_up_exps.weight", [2, 4, 32]);
    const single = patterned("blk.0.ffn_up.1.weight", [4, 32]);
    assertRefused(opening(stacked, single), "Mismatch", "twice");
  });
});
