/** Models whose tensors are stored in several quantised dtypes, as GGUF files mix them. */
import type { WeightDType } from "../../../kernels/backend.ts";
import { isQuantised } from "../../../kernels/dtype.ts";
import type { WeightSource } from "../../../kernels/formats/mod.ts";
import { ModelPartition, parseModelSpec } from "../../../kernels/models/mod.ts";
import { createReferenceBackend } from "../../../kernels/reference/mod.ts";
import { assertNear, encode, Random } from "../contract/values.ts";
import { testedBackends } from "./backends.ts";
import { tensorShapes } from "./checkpoint.ts";
import type { HubConfig } from "./oracle.ts";
import { greedyStep } from "./stepping.ts";

const capacity = { tokens: 4, samples: 4, sequences: 1, sequencePages: 2, history: 1 };
const config: HubConfig = {
  architectures: ["Qwen2ForCausalLM"],
  hidden_size: 256,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 512,
  vocab_size: 67,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  hidden_act: "silu",
};

/** Keys and values, gates and down projections differ from the rest; vectors are float32. */
function dtypeOf(name: string, shape: readonly number[]): WeightDType {
  if (shape.length === 1) return "f32";
  if (name.includes("embed")) return "q8_0";
  if (name.includes("v_proj") || name.includes("down_proj")) return "q6_k";
  return name.includes("layers.1.mlp.gate_proj") ? "q4_0" : "q4_k";
}

interface Stored {
  readonly dtype: WeightDType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** The model as stored, or with every tensor widened. */
function source(widened: boolean): WeightSource {
  const random = new Random(6);
  const tensors = new Map([...tensorShapes(config)].map(([name, shape]): [string, Stored] => {
    const drawn = random.floats(shape.reduce((a, b) => a * b, 1));
    const scale = shape.length === 1 ? 0.3 : 2 / Math.sqrt(shape[1]!);
    const offset = name.endsWith("norm.weight") ? 1 : 0;
    const dtype = dtypeOf(name, shape);
    const { bytes, values } = encode(dtype, drawn.map((x) => offset + scale * x));
    if (!widened || !isQuantised(dtype)) return [name, { dtype, shape, bytes }];
    return [name, { dtype: "f32", shape, bytes: encode("f32", values).bytes }];
  }));
  return {
    names: () => [...tensors.keys()],
    info(name) {
      const found = tensors.get(name);
      return found && { ...found, byteLength: found.bytes.length };
    },
    read(name, at, into) {
      into.set(tensors.get(name)!.bytes.subarray(at, at + into.length));
    },
    hash: () => Promise.resolve("sha256:mixed"),
    close() {},
  };
}

for (const { name, with: withBackend } of testedBackends) {
  Deno.test(`ModelPartition of mixed quantised dtypes equals the widened one [${name}]`, () =>
    withBackend(async (create) => {
      const spec = parseModelSpec(config);
      const options = {
        layers: { first: 0, count: spec.layers },
        capacity,
        pages: 2,
        pageSize: 4,
      };
      const mixed = ModelPartition.load(await create(), spec, source(false), options);
      const plain = ModelPartition.load(createReferenceBackend(), spec, source(true), options);
      const tokens = [3, 17, 60, 5].map((id, position) => ({ sequence: 0, position, id }));
      const step = greedyStep(capacity, [[0, 1]], tokens, [0, 1, 2, 3]);
      await mixed.step(step);
      const actual = (await mixed.readLogits(4)).slice();
      await plain.step(step);
      const tolerance = name === "reference" ? 1e-5 : 0.02;
      assertNear(actual, await plain.readLogits(4), "logits", tolerance);
    }));
}
