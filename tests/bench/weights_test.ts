import { deepEqual, equal, notDeepEqual, ok, throws } from "node:assert/strict";
import { Tokenizer } from "@huggingface/tokenizers";
import { tinyDense, tinyMoe } from "../../bench/shapes.ts";
import { openFolder, randomModel, writeFolder, writeGguf } from "../../bench/weights/mod.ts";
import { sharedTest } from "../support/shared.ts";
import { readGguf } from "./gguf_reader.ts";
import { interleave, readFolderTensors, withTemporaryFolder } from "./support.ts";

const f32 = 0, f16 = 1, q8 = 8;

Deno.test("writeGguf() writes a header that describes the whole file", () =>
  withTemporaryFolder((folder) => {
    writeGguf(`${folder}/m.gguf`, randomModel(tinyMoe, 1), "tiny");
    const bytes = Deno.readFileSync(`${folder}/m.gguf`);
    const { version, metadata, tensors } = readGguf(bytes);
    equal(version, 3);
    equal(metadata.get("general.architecture"), "llama");
    equal(metadata.get("llama.block_count"), tinyMoe.layers);
    equal(metadata.get("llama.expert_count"), 8);
    equal(metadata.get("llama.expert_used_count"), 2);
    equal(metadata.get("llama.attention.head_count_kv"), tinyMoe.kvHeads);
    equal(metadata.get("llama.rope.freq_base"), 10000);
    equal((metadata.get("tokenizer.ggml.tokens") as string[]).length, tinyMoe.vocab);
    equal(new Set(metadata.get("tokenizer.ggml.tokens") as string[]).size, tinyMoe.vocab);
    deepEqual(tensors.get("blk.1.ffn_down_exps.weight")?.dims, [tinyMoe.ffn, tinyMoe.dim, 8]);
    equal(tensors.get("blk.0.ffn_gate_inp.weight")?.type, f32);
    equal(tensors.get("blk.0.attn_norm.weight")?.type, f32);
    equal(tensors.get("output.weight")?.type, f16);
    const sizes = [...tensors.values()].map(({ dims, type, bytes: rest }) => ({
      start: bytes.length - rest.length,
      size: dims.reduce((a, b) => a * b) * (type === f32 ? 4 : 2),
    }));
    for (const { start } of sizes) equal(start % 32, 0);
    sizes.reduce((end, { start, size }) => {
      equal(start, Math.ceil(end / 32) * 32);
      return start + size;
    }, sizes[0]!.start);
    const { start, size } = sizes.at(-1)!;
    equal(bytes.length, Math.ceil((start + size) / 32) * 32);
  }));

for (const shape of [tinyDense, tinyMoe]) {
  Deno.test(`writeGguf() and writeFolder() write the same weights: ${shape.name}`, () =>
    withTemporaryFolder((folder) => {
      const model = randomModel(shape, 7);
      writeGguf(`${folder}/m.gguf`, model, "tiny");
      writeFolder(`${folder}/m`, model);
      const { tensors } = readGguf(Deno.readFileSync(`${folder}/m.gguf`));
      const source = readFolderTensors(`${folder}/m`);
      const same = (ggufName: string, names: string[], arrange = (x: Uint8Array) => x) => {
        const bytes = new Uint8Array(names.flatMap((name) => [...arrange(source.get(name)!)]));
        deepEqual(tensors.get(ggufName)!.bytes.subarray(0, bytes.length), bytes, ggufName);
      };
      same("token_embd.weight", ["model.embed_tokens.weight"]);
      same("output.weight", ["lm_head.weight"]);
      for (let layer = 0; layer < shape.layers; layer++) {
        const from = (rest: string) => `model.layers.${layer}.${rest}.weight`;
        const to = (rest: string) => `blk.${layer}.${rest}.weight`;
        same(
          to("attn_q"),
          [from("self_attn.q_proj")],
          (x) => interleave(x, shape.heads, shape.dim),
        );
        same(
          to("attn_k"),
          [from("self_attn.k_proj")],
          (x) => interleave(x, shape.kvHeads, shape.dim),
        );
        same(to("attn_v"), [from("self_attn.v_proj")]);
        same(to("attn_output"), [from("self_attn.o_proj")]);
        const feedForward = {
          gate: ["gate_proj", "w1"],
          up: ["up_proj", "w3"],
          down: ["down_proj", "w2"],
        } as const;
        for (const [name, [dense, expert]] of Object.entries(feedForward)) {
          const experts = Array.from(
            { length: shape.experts?.count ?? 0 },
            (_, e) => from(`block_sparse_moe.experts.${e}.${expert}`),
          );
          if (shape.experts === undefined) same(to(`ffn_${name}`), [from(`mlp.${dense}`)]);
          else same(to(`ffn_${name}_exps`), experts);
        }
      }
    }));
}

Deno.test("randomModel() gives the same bytes for the same seed, others for another", () =>
  withTemporaryFolder((folder) => {
    const write = (seed: number, name: string) => {
      writeFolder(`${folder}/${name}`, randomModel(tinyMoe, seed));
      return Deno.readFileSync(`${folder}/${name}/model.safetensors`);
    };
    const first = write(3, "a");
    deepEqual(write(3, "b"), first);
    notDeepEqual(write(4, "c"), first);
  }));

Deno.test("randomModel() reads the same piece alone as inside the whole tensor", () => {
  const model = randomModel(tinyDense, 1);
  const tensor = model.tensors.find(({ name }) => name === "lm_head.weight")!;
  const whole = new Uint8Array(4096), piece = new Uint8Array(100);
  model.read(tensor, 0, whole);
  model.read(tensor, 1234, piece);
  deepEqual(piece, whole.subarray(1234, 1334));
});

Deno.test("writeFolder() writes a tokenizer that goes byte by byte", () =>
  withTemporaryFolder((folder) => {
    writeFolder(folder, randomModel(tinyDense, 1));
    const [json, config] = ["tokenizer.json", "tokenizer_config.json"].map((name) =>
      JSON.parse(Deno.readTextFileSync(`${folder}/${name}`))
    );
    const tokenizer = new Tokenizer(json, config);
    const ids = tokenizer.encode("a é", { add_special_tokens: false }).ids;
    deepEqual(ids, [...new TextEncoder().encode("a é")]);
    equal(tokenizer.decode(ids), "a é");
  }));

Deno.test("openFolder() reads back what writeFolder() wrote", () =>
  withTemporaryFolder((folder) => {
    const model = randomModel(tinyMoe, 5);
    writeFolder(`${folder}/m`, model);
    writeGguf(`${folder}/a.gguf`, model, "tiny");
    using opened = openFolder(`${folder}/m`);
    writeGguf(`${folder}/b.gguf`, opened, "tiny");
    deepEqual(Deno.readFileSync(`${folder}/b.gguf`), Deno.readFileSync(`${folder}/a.gguf`));
  }));

Deno.test("openFolder() refuses a configuration without layers", () =>
  withTemporaryFolder((folder) => {
    writeFolder(folder, randomModel(tinyDense, 1));
    const config = JSON.parse(Deno.readTextFileSync(`${folder}/config.json`));
    Deno.writeTextFileSync(
      `${folder}/config.json`,
      JSON.stringify({ ...config, num_hidden_layers: 0 }),
    );
    throws(() => openFolder(folder), /num_hidden_layers/);
  }));

sharedTest(
  "writeGguf() keeps F32 and tied embeddings",
  "models/stories260K",
  (path) =>
    withTemporaryFolder((folder) => {
      using opened = openFolder(path);
      writeGguf(`${folder}/m.gguf`, opened, "stories");
      const { tensors } = readGguf(Deno.readFileSync(`${folder}/m.gguf`));
      equal(tensors.has("output.weight"), false);
      equal(tensors.get("token_embd.weight")?.type, f32);
      const embedding = readFolderTensors(path).get("model.embed_tokens.weight")!;
      deepEqual(tensors.get("token_embd.weight")?.bytes.subarray(0, embedding.length), embedding);
    }),
);

Deno.test("writeGguf() quantises matrices to within half a step of Q8_0", () =>
  withTemporaryFolder((folder) => {
    const model = randomModel(tinyMoe, 3);
    writeGguf(`${folder}/f16.gguf`, model, "tiny");
    writeGguf(`${folder}/q8.gguf`, model, "tiny", "Q8_0");
    const [plain, coded] = ["f16", "q8"].map((name) =>
      readGguf(Deno.readFileSync(`${folder}/${name}.gguf`))
    );
    equal(coded!.metadata.get("general.file_type"), 7);
    for (const [name, { dims, type, bytes }] of coded!.tensors) {
      const before = plain!.tensors.get(name)!;
      const count = dims.reduce((a, b) => a * b);
      if (before.type === f32) {
        deepEqual(bytes.subarray(0, count * 4), before.bytes.subarray(0, count * 4), name);
      } else {
        equal(type, q8);
        assertQuantised(new Float16Array(before.bytes.slice(0, count * 2).buffer), bytes, name);
      }
    }
  }));

function assertQuantised(expected: Float16Array, bytes: Uint8Array, name: string): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let i = 0; i < expected.length; i++) {
    const block = Math.floor(i / 32) * 34;
    const scale = view.getFloat16(block, true);
    const error = Math.abs(scale * view.getInt8(block + 2 + i % 32) - expected[i]!);
    ok(error <= scale * 0.57, `${name} ${i}: ${error} of ${scale}`);
  }
}

Deno.test("writeGguf() refuses to quantise rows that are not whole blocks", () =>
  withTemporaryFolder((folder) => {
    const model = randomModel({ ...tinyDense, ffn: 48 }, 1);
    throws(() => writeGguf(`${folder}/m.gguf`, model, "tiny", "Q8_0"), /ffn_down.*48/);
  }));
