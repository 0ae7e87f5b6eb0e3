import type { ExpertChoice } from "../../backend.ts";
import type { Dispatch, GpuTensor, PlanContext } from "../dispatch.ts";
import { fold } from "../grid.ts";
import { planProduct } from "./linear_products.ts";
import { type LiveRows, liveRows, read, single, write } from "./operands.ts";

/** Chooses the experts of each token: the scores as a product, then softmax and the best of them. */
export function planRoute(
  context: PlanContext,
  choice: ExpertChoice,
  x: GpuTensor,
  gate: GpuTensor,
  options: { readonly normalise: boolean },
): Dispatch[] {
  const experts = gate.shape[0]!;
  const scores = { buffer: context.scratch("router scores", 4 * x.shape[0]! * experts) };
  const rows = liveRows(x);
  const products = gate.shards.flatMap(({ buffer, first, count }) =>
    planProduct(context, {
      label: `route ${gate.label}`,
      rows,
      x: { buffer: single(x) },
      weight: gate,
      weights: buffer,
      out: scores,
      width: experts,
      column: first,
      results: count,
    })
  );
  const [chosen, masses] = [choice.experts, choice.weights].map((tensor) =>
    write({ buffer: single(context.resolve(tensor)) })
  ) as [Write, Write];
  const topK = choice.experts.shape[1]!;
  const defines = { EXPERTS: experts, TOP_K: topK, NORMALISE: options.normalise };
  return [...products, planChoose(rows, defines, [chosen, masses, read(scores)])];
}

type Write = ReturnType<typeof write>;

function planChoose(
  rows: LiveRows,
  defines: { readonly EXPERTS: number; readonly TOP_K: number; readonly NORMALISE: boolean },
  bindings: Dispatch["bindings"],
): Dispatch {
  const { EXPERTS: experts, TOP_K: topK } = defines;
  const threads = Math.min(256, Math.max(32, 2 ** Math.ceil(Math.log2(experts))));
  return {
    label: "route",
    kernel: "route_choose",
    defines: { ...defines, THREADS: threads, LIVE: rows.wgsl },
    bindings,
    grid: (counts, into) => fold(into, rows.count(counts)),
    cost: (counts) => ({
      bytes: rows.count(counts) * (4 * experts + 8 * topK),
      flops: rows.count(counts) * experts * 2,
    }),
  };
}
