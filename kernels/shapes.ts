import {
  type AttentionShape,
  type ExpertChoice,
  type ExpertWeights,
  type KvCache,
  type LinearOptions,
  type Placement,
  type RotaryWeights,
  type SamplerInputs,
  type SamplerOutputs,
  type Tensor,
  TOP_LOGPROBS,
} from "./backend.ts";
import { elements } from "./dtype.ts";
import { KernelError } from "./errors.ts";

/** Checks of recorded operations' shapes and dtypes, the same for every backend. Each throws `InvalidShape`. */
export const shapes = {
  embed(out: Tensor, table: Tensor, ids: Tensor, sampled?: Tensor): void {
    check("embed", out.shape[1] === table.shape[1], out, table, ids);
    floats("embed", out);
    integers("embed", ids);
    if (sampled) integers("embed", sampled);
  },
  rmsNorm(out: Tensor, x: Tensor, weight: Tensor): void {
    const dim = x.shape.at(-1);
    check("rmsNorm", out.shape.at(-1) === dim && weight.shape[0] === dim, out, x, weight);
    floats("rmsNorm", out, x, weight);
  },
  linear(out: Tensor, x: Tensor, weight: Tensor, { bias, column }: LinearOptions): void {
    const [n = 0, k] = weight.shape;
    const width = out.shape[1] ?? 0;
    const fits = column === undefined ? width === n : column >= 0 && column + n <= width;
    check("linear", weight.shape.length === 2 && x.shape[1] === k, out, x, weight);
    check("linear", fits && out.rows === x.rows, out, x, weight);
    floats("linear", out, x);
    weights("linear", weight);
    if (!bias) return;
    check("linear", bias.shape[0] === n, bias, weight);
    floats("linear", bias);
  },
  swiglu(out: Tensor, x: Tensor, gateUp: Tensor): void {
    const [n, k] = gateUp.shape;
    check("swiglu", x.shape[1] === k && n === 2 * (out.shape[1] ?? 0), out, x, gateUp);
    floats("swiglu", out, x);
    weights("swiglu", gateUp);
  },
  attention(
    out: Tensor,
    qkv: Tensor,
    cache: KvCache,
    layer: number,
    shape: AttentionShape,
    placement: Placement,
  ): void {
    paged("attention", qkv, cache, layer, shape, placement);
    check("attention", out.shape[1] === shape.heads * shape.headDim, out, qkv);
    floats("attention", out);
  },
  rotate(
    qkv: Tensor,
    cache: KvCache,
    layer: number,
    shape: AttentionShape,
    { table, qNorm, kNorm }: RotaryWeights,
    placement: Placement,
  ): void {
    paged("rotateAppend", qkv, cache, layer, shape, placement);
    const { heads, kvHeads, headDim } = shape;
    check("rotateAppend", table.shape[1] === headDim, table, qkv);
    floats("rotateAppend", table, ...[qNorm, kNorm].filter((norm) => norm !== undefined));
    const [q, k] = [qNorm, kNorm].map((norm) => norm?.shape[0]);
    const isHead = (q ?? headDim) === headDim && (k ?? headDim) === headDim;
    const isRow = q === heads * headDim && k === kvHeads * headDim;
    check("rotateAppend", isHead || isRow, qkv);
  },
  route(choice: ExpertChoice, x: Tensor, gate: Tensor): void {
    const { experts, weights: mass } = choice;
    check("route", experts.shape[1] === mass.shape[1], experts, mass);
    check("route", gate.shape[1] === x.shape[1], gate, x);
    floats("route", x, mass);
    integers("route", experts);
    weights("route", gate);
    check("route", (experts.shape[1] ?? 0) <= (gate.shape[0] ?? 0), experts, gate);
  },
  experts(out: Tensor, x: Tensor, choice: ExpertChoice, held: ExpertWeights): void {
    const { gateUp, down, count } = held;
    const dim = x.shape[1];
    check("experts", gateUp.shape[0] === count && down.shape[0] === count, gateUp, down);
    check("experts", gateUp.shape[2] === dim && down.shape[1] === dim, gateUp, down, x);
    check("experts", gateUp.shape[1] === 2 * (down.shape[2] ?? 0), gateUp, down);
    check("experts", out.shape[1] === dim && out.rows === x.rows, out, x);
    floats("experts", out, x, choice.weights);
    integers("experts", choice.experts);
    weights("experts", gateUp, down);
  },
  same(op: string, out: Tensor, x: Tensor): void {
    check(op, out.shape[1] === x.shape[1] && out.rows === x.rows, out, x);
    floats(op, out, x);
  },
  addGated(out: Tensor, x: Tensor, gate: Tensor): void {
    shapes.same("addGated", out, x);
    check("addGated", gate.shape[1] === 1 && gate.rows === out.rows, out, gate);
    floats("addGated", gate);
  },
  gather(out: Tensor, x: Tensor, indices: Tensor): void {
    check("gather", out.shape[1] === x.shape[1], out, x, indices);
    floats("gather", out, x);
    integers("gather", indices);
  },
  sample(outputs: SamplerOutputs, logits: Tensor, inputs: SamplerInputs): void {
    const { controls, integers: words, history } = inputs;
    const { tokens, stats, topTokens, topLogprobs } = outputs;
    const widths: [Tensor, number][] = [
      [controls, 8],
      [words, 8],
      [history, 2],
      [tokens, 1],
      [
        stats,
        4,
      ],
      [topTokens, TOP_LOGPROBS],
      [topLogprobs, TOP_LOGPROBS],
    ];
    for (const [tensor, width] of widths) {
      const isLong = tensor === history || tensor.shape[0]! >= logits.shape[0]!;
      check("sample", isLong && elements(tensor.shape.slice(1)) === width, tensor, logits);
    }
    floats("sample", logits, controls, stats, topLogprobs);
    integers("sample", words, history, tokens, topTokens);
  },
};

function paged(
  op: string,
  qkv: Tensor,
  { spec }: KvCache,
  layer: number,
  { heads, kvHeads, headDim }: AttentionShape,
  placement: Placement,
): void {
  check(op, qkv.shape[1] === (heads + 2 * kvHeads) * headDim, qkv);
  check(op, kvHeads > 0 && heads % kvHeads === 0 && headDim % 2 === 0, qkv);
  check(op, spec.kvHeads === kvHeads && spec.headDim === headDim, qkv);
  check(op, layer >= 0 && layer < spec.layers, qkv);
  floats(op, qkv);
  integers(op, placement.positions, placement.sequences, placement.pages);
}

function floats(op: string, ...tensors: readonly Tensor[]): void {
  for (const tensor of tensors) check(op, tensor.dtype === "f32", tensor);
}

function integers(op: string, ...tensors: readonly Tensor[]): void {
  for (const tensor of tensors) check(op, tensor.dtype === "i32", tensor);
}

function weights(op: string, ...tensors: readonly Tensor[]): void {
  for (const tensor of tensors) {
    check(op, tensor.dtype !== "i32" && tensor.rows === undefined, tensor);
  }
}

function check(op: string, holds: boolean, ...tensors: readonly Tensor[]): void {
  if (holds) return;
  const described = tensors.map((t) => `${t.label} ${t.dtype}[${t.shape.join(", ")}]`).join(", ");
  throw new KernelError("InvalidShape", `Cannot record ${op}, shapes do not fit: ${described}`);
}
