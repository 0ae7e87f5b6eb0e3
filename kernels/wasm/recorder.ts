import {
  type AttentionShape,
  type ExpertChoice,
  type ExpertWeights,
  type KvCache,
  type LinearOptions,
  type Placement,
  type Recorder,
  type RotaryWeights,
  type SamplerInputs,
  type SamplerOutputs,
  type Tensor,
  TOP_LOGPROBS,
} from "../backend.ts";
import { isQuantised } from "../dtype.ts";
import { shapes } from "../shapes.ts";
import { Op, ROWS_SAMPLES, ROWS_TOKENS, Stored, type Word } from "./opcodes.ts";
import { roundToStrip, type WasmKvCache, type WasmTensor } from "./tensor.ts";

/** One entry of an op list: its opcode, and values by word; `Scale` is a float. */
export interface Step {
  readonly opcode: Op;
  readonly words: Partial<Record<keyof typeof Word, number>>;
}

/** Regions that steps share, by what they hold: activations in tiles, gate and up rows, sums of entries... */
type RegionName = "packed" | "inner" | "hidden" | "sums" | "groups" | "summaries";

/** What a recorder needs of its backend. */
export interface Arena {
  /** The memory behind a handle; throws for foreign handles. */
  resolve(handle: Tensor): WasmTensor;
  cache(cache: KvCache): WasmKvCache;
  /** Address of the descriptor of a tensor used as a stack of matrices. */
  weight(tensor: Tensor): number;
  /** Address of a region of at least `bytes` that steps of one name may overwrite. */
  region(name: RegionName, bytes: number): number;
  /** Makes sure that each thread has `bytes` of its own. */
  threadScratch(bytes: number): void;
}

/** As in assembly/attention.ts and sample.ts. */
const SPAN = 128;
const SEGMENT = 2048;
const SUMMARY_BYTES = 32;

/** Integers of a cache lie in strips with their scales apart, and not as those of weights. */
const kvStored = { f32: Stored.F32, f16: Stored.F16, int8: Stored.Q8_0 } as const;

/** Lowers operations to steps. */
export class WasmRecorder implements Recorder {
  readonly steps: Step[] = [];
  readonly weights = new Set<WasmTensor>();
  readonly capacity = { tokens: Infinity, samples: Infinity };
  length = 0;
  readonly #arena: Arena;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  embed(out: Tensor, table: Tensor, ids: Tensor, sampled?: Tensor): void {
    shapes.embed(out, table, ids, sampled);
    const words = { Out: this.#at(out), X: this.#at(ids), Weight: this.#weight(table) };
    const seen = sampled && { P: this.#at(sampled), N: sampled.shape[0]! };
    this.#op(Op.Embed, out, { ...words, ...seen });
  }

  rmsNorm(out: Tensor, x: Tensor, weight: Tensor, eps: number): void {
    shapes.rmsNorm(out, x, weight);
    const n = x.shape.at(-1)!;
    const parts = this.#arena.resolve(x).width / n;
    const words = { Out: this.#at(out), X: this.#at(x), Weight: this.#at(weight) };
    this.#op(Op.Norm, out, { ...words, N: n, A: x.shape.length > 1 ? parts : 1, Scale: eps });
  }

  linear(out: Tensor, x: Tensor, weight: Tensor, options: LinearOptions = {}): void {
    shapes.linear(out, x, weight, options);
    this.length++;
    const bias = options.bias ? this.#at(options.bias) : 0;
    const column = this.#at(out) + 4 * (options.column ?? 0);
    const words = { Bias: bias, Flags: options.add ? 1 : 0, Width: out.shape[1]! };
    this.#product(column, x, weight, words);
  }

  swiglu(out: Tensor, x: Tensor, gateUp: Tensor): void {
    shapes.swiglu(out, x, gateUp);
    const hidden = this.#arena.region("hidden", out.byteLength * 2);
    this.#product(hidden, x, gateUp, { Width: gateUp.shape[0]! });
    this.#op(Op.Activate, out, { Out: this.#at(out), X: hidden, N: out.shape[1]! });
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
    const { table, qNorm, kNorm } = rotary;
    this.#op(Op.Rotate, qkv, {
      ...this.#paged(qkv, cache, layer, shape, placement),
      Weight: this.#at(table),
      Bias: qNorm ? this.#at(qNorm) : 0,
      T: kNorm ? this.#at(kNorm) : 0,
      Width: qNorm && qNorm.shape[0] !== shape.headDim ? 1 : 0,
      U: table.shape[0]!,
      Scale: rotary.eps,
    });
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
    const { heads, kvHeads, headDim, window } = shape;
    const group = heads / kvHeads;
    const span = Math.max(SPAN, roundToStrip(cache.spec.pageSize));
    const dims = roundToStrip(headDim);
    const widened = 16 * Math.max(headDim, roundToStrip(cache.spec.pageSize));
    this.#arena.threadScratch(64 + (group * (headDim + dims + span + 2) + widened) * 4);
    this.#op(Op.Attend, qkv, {
      ...this.#paged(qkv, cache, layer, shape, placement),
      Out: this.#at(out),
      U: window ?? 0,
    });
  }

  route(choice: ExpertChoice, x: Tensor, gate: Tensor, options: { normalise: boolean }): void {
    shapes.route(choice, x, gate);
    const experts = gate.shape[0]!;
    const scores = this.#arena.region("hidden", x.shape[0]! * experts * 4);
    this.#product(scores, x, gate, { Width: experts });
    this.#op(Op.Route, x, {
      Out: this.#at(choice.experts),
      P: this.#at(choice.weights),
      X: scores,
      N: experts,
      K: choice.experts.shape[1]!,
      Flags: options.normalise ? 1 : 0,
    });
  }

  experts(out: Tensor, x: Tensor, choice: ExpertChoice, experts: ExpertWeights): void {
    shapes.experts(out, x, choice, experts);
    const [, dim, ffn] = experts.down.shape as [number, number, number];
    const topK = choice.experts.shape[1]!;
    const entries = x.shape[0]! * topK;
    const { region } = this.#arena;
    const tiles = tilesOf(entries, experts.count);
    const packed = region("packed", packedBytes(experts.gateUp, tiles));
    const inner = region("inner", packedBytes(experts.down, tiles));
    const hidden = region("hidden", entries * 2 * ffn * 4);
    const sums = region("sums", entries * dim * 4);
    const groups = this.#groups(experts, entries);
    const { P } = groups;
    const gateUp = { P, N: 2 * ffn, Width: 2 * ffn, K: dim, Weight: this.#weight(experts.gateUp) };
    const down = { P, N: dim, Width: dim, K: ffn, Weight: this.#weight(experts.down) };
    this.#step(Op.Group, x, { ...groups, X: this.#at(choice.experts), K: topK });
    this.#step(Op.GroupPack, x, { ...gateUp, R: groups.R, X: this.#at(x), Out: packed });
    this.#step(Op.GroupMatmul, x, { ...gateUp, X: packed, Out: hidden });
    this.#step(Op.GroupActivate, x, { ...down, X: hidden, Out: inner });
    this.#step(Op.GroupMatmul, x, { ...down, X: inner, Out: sums });
    this.#op(Op.Combine, x, {
      Out: this.#at(out),
      X: sums,
      N: dim,
      K: topK,
      Q: groups.Q,
      T: this.#at(choice.weights),
    });
  }

  add(out: Tensor, x: Tensor): void {
    shapes.same("add", out, x);
    this.#op(Op.Add, out, { Out: this.#at(out), X: this.#at(x), N: this.#width(out) });
  }

  addGated(out: Tensor, x: Tensor, gate: Tensor): void {
    shapes.addGated(out, x, gate);
    const words = { Out: this.#at(out), X: this.#at(x), P: this.#at(gate) };
    this.#op(Op.AddGated, out, { ...words, N: this.#width(out) });
  }

  clear(out: Tensor): void {
    this.#op(Op.Clear, out, { Out: this.#at(out), N: this.#width(out) });
  }

  gather(out: Tensor, x: Tensor, indices: Tensor): void {
    shapes.gather(out, x, indices);
    const words = { Out: this.#at(out), X: this.#at(x), P: this.#at(indices) };
    this.#op(Op.Gather, out, { ...words, N: this.#width(out), A: x.shape[0]! });
  }

  sample(outputs: SamplerOutputs, logits: Tensor, inputs: SamplerInputs): void {
    shapes.sample(outputs, logits, inputs);
    const vocabulary = logits.shape[1]!;
    const parts = Math.ceil(vocabulary / SEGMENT);
    this.#arena.threadScratch(vocabulary * 12 + 32768);
    const words = {
      X: this.#at(logits),
      N: vocabulary,
      P: this.#arena.region("summaries", logits.shape[0]! * parts * SUMMARY_BYTES),
    };
    this.#step(Op.Segment, logits, words);
    this.#op(Op.Draw, logits, {
      ...words,
      Q: this.#at(inputs.controls),
      R: this.#at(inputs.integers),
      S: this.#at(inputs.history),
      A: inputs.history.shape[0]!,
      Out: this.#at(outputs.tokens),
      T: this.#at(outputs.stats),
      U: this.#at(outputs.topTokens),
      V: this.#at(outputs.topLogprobs),
      B: TOP_LOGPROBS,
    });
  }

  #product(out: number, x: Tensor, weight: Tensor, words: Step["words"]): void {
    const [n, k] = weight.shape as [number, number];
    const packed = this.#arena.region("packed", packedBytes(weight, tilesOf(x.shape[0]!)));
    const descriptor = this.#weight(weight);
    const from = this.#at(x);
    this.#step(Op.Pack, x, { X: from, Out: packed, K: k, Weight: descriptor });
    const factors = { X: from, P: packed, Out: out, Weight: descriptor, N: n, K: k };
    this.#step(Op.Matmul, x, { ...words, ...factors });
  }

  #groups(
    experts: ExpertWeights,
    entries: number,
  ): Record<"A" | "B" | "P" | "Q" | "R" | "S", number> {
    const table = Math.ceil((64 + experts.count * 16) / 64) * 64;
    const list = Math.ceil(entries / 16) * 64;
    const P = this.#arena.region("groups", table + 2 * list + experts.count * 4);
    const Q = P + table;
    return { A: experts.first, B: experts.count, P, Q, R: Q + list, S: Q + 2 * list };
  }

  #paged(
    qkv: Tensor,
    cache: KvCache,
    layer: number,
    shape: AttentionShape,
    { positions, sequences, pages }: Placement,
  ): Step["words"] {
    const { address, spec } = this.#arena.cache(cache);
    return {
      X: this.#at(qkv),
      K: shape.headDim,
      A: shape.heads,
      B: shape.kvHeads,
      C: spec.pageSize,
      D: spec.pages,
      E: layer,
      P: this.#at(positions),
      Q: this.#at(sequences),
      R: this.#at(pages),
      S: address,
      N: pages.shape[1]!,
      V: pages.shape[0]!,
      Flags: kvStored[spec.dtype],
    };
  }

  #op(opcode: Op, rowsOf: Tensor, words: Step["words"]): void {
    this.length++;
    this.#step(opcode, rowsOf, words);
  }

  #step(opcode: Op, { rows, shape }: Tensor, words: Step["words"]): void {
    const count = rows === "tokens" ? ROWS_TOKENS : rows === "samples" ? ROWS_SAMPLES : shape[0]!;
    this.steps.push({ opcode, words: { ...words, Rows: count } });
  }

  #at(tensor: Tensor): number {
    const { address, rows, shape } = this.#arena.resolve(tensor);
    if (rows) this.capacity[rows] = Math.min(this.capacity[rows], shape[0]!);
    return address;
  }

  #weight(tensor: Tensor): number {
    this.weights.add(this.#arena.resolve(tensor));
    return this.#arena.weight(tensor);
  }

  #width(tensor: Tensor): number {
    return this.#arena.resolve(tensor).width;
  }
}

/** Tiles of 8 that rows take at most when they are split among `groups`. */
function tilesOf(rows: number, groups = 1): number {
  return Math.ceil(rows / 8) + Math.min(rows, groups) - 1;
}

/** Bytes of `tiles` tiles of activations for a weight: see assembly/pack.ts. */
function packedBytes({ dtype, shape }: Tensor, tiles: number): number {
  const k = shape.at(-1)!;
  return tiles * (isQuantised(dtype) ? k / 32 * 608 : k * 32);
}
