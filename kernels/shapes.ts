import type {
  AttentionShape,
  ExpertChoice,
  ExpertWeights,
  KvCache,
  LinearOptions,
  RotaryWeights,
  Tensor,
} from "./backend.ts";
import { KernelError } from "./errors.ts";

/** Shape checks of recorded operations, the same for every backend. Each throws `InvalidShape`. */
export const shapes = {
  embed(out: Tensor, table: Tensor, ids: Tensor): void {
    check("embed", out.shape[1] === table.shape[1] && ids.dtype === "i32", out, table, ids);
  },
  rmsNorm(out: Tensor, x: Tensor, weight: Tensor): void {
    const dim = x.shape.at(-1);
    check("rmsNorm", out.shape.at(-1) === dim && weight.shape[0] === dim, out, x, weight);
    check("rmsNorm", weight.dtype === "f32", weight);
  },
  linear(out: Tensor, x: Tensor, weight: Tensor, { bias, column }: LinearOptions): void {
    const [n = 0, k] = weight.shape;
    const width = out.shape[1] ?? 0;
    const fits = column === undefined ? width === n : column >= 0 && column + n <= width;
    check("linear", weight.shape.length === 2 && x.shape[1] === k, out, x, weight);
    check("linear", fits && out.rows === x.rows, out, x, weight);
    if (bias) check("linear", bias.shape[0] === n && bias.dtype === "f32", bias, weight);
  },
  swiglu(out: Tensor, x: Tensor, gateUp: Tensor): void {
    const [n, k] = gateUp.shape;
    check("swiglu", x.shape[1] === k && n === 2 * (out.shape[1] ?? 0), out, x, gateUp);
  },
  attention(qkv: Tensor, cache: KvCache, layer: number, shape: AttentionShape): void {
    const { heads, kvHeads, headDim } = shape;
    check("attention", qkv.shape[1] === (heads + 2 * kvHeads) * headDim, qkv);
    check("attention", kvHeads > 0 && heads % kvHeads === 0 && headDim % 2 === 0, qkv);
    const { spec } = cache;
    check("attention", spec.kvHeads === kvHeads && spec.headDim === headDim, qkv);
    check("attention", layer >= 0 && layer < spec.layers, qkv);
  },
  rotate(
    qkv: Tensor,
    cache: KvCache,
    layer: number,
    shape: AttentionShape,
    { qNorm, kNorm }: RotaryWeights,
  ): void {
    shapes.attention(qkv, cache, layer, shape);
    const { heads, kvHeads, headDim } = shape;
    const [q, k] = [qNorm, kNorm].map((norm) => norm?.shape[0]);
    const isHead = (q ?? headDim) === headDim && (k ?? headDim) === headDim;
    const isRow = q === heads * headDim && k === kvHeads * headDim;
    check("rotateAppend", isHead || isRow, qkv);
  },
  route(choice: ExpertChoice, x: Tensor, gate: Tensor): void {
    const { experts, weights } = choice;
    check(
      "route",
      experts.dtype === "i32" && experts.shape[1] === weights.shape[1],
      experts,
      weights,
    );
    check("route", gate.shape[1] === x.shape[1], gate, x);
    check("route", (experts.shape[1] ?? 0) <= (gate.shape[0] ?? 0), experts, gate);
  },
  experts(out: Tensor, x: Tensor, held: ExpertWeights): void {
    const { gateUp, down, count } = held;
    const dim = x.shape[1];
    check("experts", gateUp.shape[0] === count && down.shape[0] === count, gateUp, down);
    check("experts", gateUp.shape[2] === dim && down.shape[1] === dim, gateUp, down, x);
    check("experts", gateUp.shape[1] === 2 * (down.shape[2] ?? 0), gateUp, down);
    check("experts", out.shape[1] === dim && out.rows === x.rows, out, x);
  },
  same(op: string, out: Tensor, x: Tensor): void {
    check(op, out.shape[1] === x.shape[1] && out.rows === x.rows, out, x);
  },
  gather(out: Tensor, x: Tensor, indices: Tensor): void {
    check("gather", out.shape[1] === x.shape[1] && indices.dtype === "i32", out, x, indices);
  },
};

function check(op: string, holds: boolean, ...tensors: readonly Tensor[]): void {
  if (holds) return;
  const described = tensors.map((t) => `${t.label} ${t.dtype}[${t.shape.join(", ")}]`).join(", ");
  throw new KernelError("InvalidShape", `Cannot record ${op}, shapes do not fit: ${described}`);
}
