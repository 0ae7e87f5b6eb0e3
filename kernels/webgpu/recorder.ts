/** Lowers operations to dispatches. */
import type {
  AttentionShape,
  ExpertChoice,
  ExpertWeights,
  KvCache,
  LinearOptions,
  Placement,
  Recorder,
  RotaryWeights,
  SamplerInputs,
  SamplerOutputs,
  Tensor,
} from "../backend.ts";
import { shapes } from "../shapes.ts";
import type { Dispatch, GpuTensor, PlanContext } from "./dispatch.ts";
import type { DeviceTensor } from "./tensor.ts";
import type { GpuKvCache } from "./kv_cache.ts";
import {
  planAdd,
  planAddGated,
  planAttention,
  planClear,
  planEmbed,
  planExperts,
  planGather,
  planLinear,
  planRmsNorm,
  planRotateAppend,
  planRoute,
  planSample,
  planSwiglu,
} from "./plans/mod.ts";

/** What a recorder needs of its backend. */
export interface Arena extends PlanContext {
  resolve(tensor: Tensor): DeviceTensor;
  /** The cache behind a handle; throws for foreign handles. */
  cache(cache: KvCache): GpuKvCache;
}

/** Collects the dispatches of a program. */
export class DeviceRecorder implements Recorder {
  readonly dispatches: Dispatch[] = [];
  readonly weights = new Set<DeviceTensor>();
  readonly capacity = { tokens: Infinity, samples: Infinity };
  length = 0;
  readonly #arena: Arena;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  embed(out: Tensor, table: Tensor, ids: Tensor, sampled?: Tensor): void {
    shapes.embed(out, table, ids, sampled);
    const seen = sampled && this.#at(sampled);
    this.#op(planEmbed(this.#arena, this.#at(out), this.#weight(table), this.#at(ids), seen));
  }

  rmsNorm(out: Tensor, x: Tensor, weight: Tensor, eps: number): void {
    shapes.rmsNorm(out, x, weight);
    this.#op(planRmsNorm(this.#arena, this.#at(out), this.#at(x), this.#at(weight), eps));
  }

  linear(out: Tensor, x: Tensor, weight: Tensor, options: LinearOptions = {}): void {
    shapes.linear(out, x, weight, options);
    this.#op(planLinear(this.#arena, this.#at(out), this.#at(x), this.#weight(weight), options));
  }

  swiglu(out: Tensor, x: Tensor, gateUp: Tensor): void {
    shapes.swiglu(out, x, gateUp);
    this.#op(planSwiglu(this.#arena, this.#at(out), this.#at(x), this.#weight(gateUp)));
  }

  rotateAppend(
    qkv: Tensor,
    cache: KvCache,
    layer: number,
    shape: AttentionShape,
    rotary: RotaryWeights,
    placement: Placement,
  ): void {
    shapes.rotate(qkv, cache, layer, shape, rotary, placement);
    const { positions, sequences } = placement;
    for (const tensor of [positions, sequences]) this.#at(tensor);
    const held = this.#arena.cache(cache);
    this.#op(
      planRotateAppend(this.#arena, this.#at(qkv), held, layer, shape, rotary, placement),
    );
  }

  attention(
    out: Tensor,
    qkv: Tensor,
    cache: KvCache,
    layer: number,
    shape: AttentionShape,
    placement: Placement,
  ): void {
    shapes.attention(out, qkv, cache, layer, shape, placement);
    const held = this.#arena.cache(cache);
    this.#op(
      planAttention(this.#arena, this.#at(out), this.#at(qkv), held, layer, shape, placement),
    );
  }

  route(choice: ExpertChoice, x: Tensor, gate: Tensor, options: { normalise: boolean }): void {
    shapes.route(choice, x, gate);
    for (const tensor of [choice.experts, choice.weights]) this.#at(tensor);
    this.#op(planRoute(this.#arena, choice, this.#at(x), this.#weight(gate), options));
  }

  experts(out: Tensor, x: Tensor, choice: ExpertChoice, experts: ExpertWeights): void {
    shapes.experts(out, x, choice, experts);
    for (const tensor of [choice.experts, choice.weights]) this.#at(tensor);
    for (const tensor of [experts.gateUp, experts.down]) this.#weight(tensor);
    this.#op(planExperts(this.#arena, this.#at(out), this.#at(x), choice, experts));
  }

  add(out: Tensor, x: Tensor): void {
    shapes.same("add", out, x);
    this.#op(planAdd(this.#arena, this.#at(out), this.#at(x)));
  }

  addGated(out: Tensor, x: Tensor, gate: Tensor): void {
    shapes.addGated(out, x, gate);
    this.#op(planAddGated(this.#arena, this.#at(out), this.#at(x), this.#at(gate)));
  }

  clear(out: Tensor): void {
    this.#op(planClear(this.#arena, this.#at(out)));
  }

  gather(out: Tensor, x: Tensor, indices: Tensor): void {
    shapes.gather(out, x, indices);
    this.#op(planGather(this.#arena, this.#at(out), this.#at(x), this.#at(indices)));
  }

  sample(outputs: SamplerOutputs, logits: Tensor, inputs: SamplerInputs): void {
    shapes.sample(outputs, logits, inputs);
    for (const tensor of Object.values(outputs)) this.#at(tensor);
    this.#op(planSample(this.#arena, outputs, this.#at(logits), inputs));
  }

  #op(dispatches: readonly Dispatch[]): void {
    this.length++;
    this.dispatches.push(...dispatches);
  }

  /** A tensor that is read as a weight, and so must be complete. */
  #weight(tensor: Tensor): DeviceTensor {
    const resolved = this.#arena.resolve(tensor);
    this.weights.add(resolved);
    return resolved;
  }

  /** The backend's own view of a tensor, whose capacity bounds the program's. */
  #at(tensor: Tensor): GpuTensor {
    const resolved = this.#arena.resolve(tensor);
    const { rows, shape } = resolved;
    if (rows) this.capacity[rows] = Math.min(this.capacity[rows], shape[0]!);
    return resolved;
  }
}
