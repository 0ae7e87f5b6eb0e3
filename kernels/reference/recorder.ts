import {
  type AttentionShape,
  type Counts,
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
import { shapes } from "../shapes.ts";
import * as ops from "./operations.ts";
import { confidence, drawToken, logSoftmax, type SamplerControls } from "./sampler.ts";
import { host, type HostKvCache, type HostTensor } from "./tensor.ts";

/** One recorded operation. */
export type Operation = (counts: Counts) => void;

/** Records each operation as a closure over host arrays. */
export class ReferenceRecorder implements Recorder {
  readonly operations: Operation[] = [];

  embed(out: Tensor, table: Tensor, ids: Tensor, sampled?: Tensor): void {
    shapes.embed(out, table, ids, sampled);
    const [to, from, index] = [host(out), host(table), host(ids).ints];
    const seen = sampled && host(sampled).ints;
    this.#rows(to, (t) => {
      const id = index[t]! < 0 && seen ? seen[-1 - index[t]!]! : index[t]!;
      row(to, t).set(row(from, id));
    });
  }

  rmsNorm(out: Tensor, x: Tensor, weight: Tensor, eps: number): void {
    shapes.rmsNorm(out, x, weight);
    const [to, from, scale] = [host(out), host(x), host(weight)];
    this.#rows(to, (t) => ops.rmsNorm(row(to, t), row(from, t), scale.floats, eps));
  }

  linear(out: Tensor, x: Tensor, weight: Tensor, options: LinearOptions = {}): void {
    shapes.linear(out, x, weight, options);
    const [to, from, w] = [host(out), host(x), host(weight)];
    const bias = options.bias && host(options.bias).floats;
    this.#rows(to, (t) => {
      const into = row(to, t).subarray(options.column ?? 0);
      ops.product(row(from, t), w.floats, w.shape[0]!).forEach((value, i) => {
        into[i] = value + (bias?.[i] ?? 0) + (options.add ? into[i]! : 0);
      });
    });
  }

  swiglu(out: Tensor, x: Tensor, gateUp: Tensor): void {
    shapes.swiglu(out, x, gateUp);
    const [to, from, w] = [host(out), host(x), host(gateUp)];
    this.#rows(to, (t) => row(to, t).set(ops.swiglu(row(from, t), w.floats, to.width)));
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
    const [all, kv] = [host(qkv), cache as HostKvCache];
    const weights = {
      table: host(rotary.table).floats,
      eps: rotary.eps,
      ...(rotary.qNorm && { qNorm: host(rotary.qNorm).floats }),
      ...(rotary.kNorm && { kNorm: host(rotary.kNorm).floats }),
    };
    this.#rows(
      all,
      (t) => ops.rotateAppend(row(all, t), kv, layer, shape, weights, sequence(placement, t)),
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
    const [to, all, kv] = [host(out), host(qkv), cache as HostKvCache];
    const { heads, kvHeads, headDim } = shape;
    this.#rows(to, (t) => {
      for (let head = 0; head < heads; head++) {
        const slice = (of: HostTensor) => row(of, t).subarray(head * headDim, (head + 1) * headDim);
        const kvHead = Math.floor(head * kvHeads / heads);
        ops.attend(slice(to), slice(all), kv, layer, kvHead, sequence(placement, t), shape.window);
      }
    });
  }

  route(choice: ExpertChoice, x: Tensor, gate: Tensor, options: { normalise: boolean }): void {
    shapes.route(choice, x, gate);
    const [experts, weights] = [host(choice.experts), host(choice.weights)];
    const [from, w] = [host(x), host(gate)];
    const topK = experts.width;
    this.#rows(experts, (t) => {
      const scores = ops.softmax(ops.product(row(from, t), w.floats, w.shape[0]!));
      const chosen = ops.highest(scores, topK);
      const mass = options.normalise ? chosen.reduce((sum, e) => sum + scores[e]!, 0) : 1;
      experts.ints.set(chosen, t * topK);
      weights.floats.set(chosen.map((e) => scores[e]! / mass), t * topK);
    });
  }

  experts(out: Tensor, x: Tensor, choice: ExpertChoice, held: ExpertWeights): void {
    shapes.experts(out, x, choice, held);
    const [to, from, index, weights] = [out, x, choice.experts, choice.weights].map(host) as [
      HostTensor,
      HostTensor,
      HostTensor,
      HostTensor,
    ];
    const [gateUp, down] = [host(held.gateUp), host(held.down)];
    const [dim, ffn, topK] = [to.width, down.shape[2]!, index.width];
    this.#rows(to, (t) => {
      const into = row(to, t);
      for (let k = t * topK; k < (t + 1) * topK; k++) {
        const expert = index.ints[k]! - held.first;
        if (expert < 0 || expert >= held.count) continue;
        const hidden = ops.swiglu(row(from, t), gateUp.floats, ffn, expert * 2 * ffn);
        ops.product(hidden, down.floats, dim, expert * dim)
          .forEach((value, i) => into[i]! += value * weights.floats[k]!);
      }
    });
  }

  add(out: Tensor, x: Tensor): void {
    shapes.same("add", out, x);
    const [to, from] = [host(out), host(x)];
    this.#rows(to, (t) => row(from, t).forEach((value, i) => row(to, t)[i]! += value));
  }

  addGated(out: Tensor, x: Tensor, gate: Tensor): void {
    shapes.addGated(out, x, gate);
    const [to, from, g] = [host(out), host(x), host(gate)];
    this.#rows(to, (t) => {
      const scale = 1 / (1 + Math.exp(-g.floats[t]!));
      row(from, t).forEach((value, i) => row(to, t)[i]! += scale * value);
    });
  }

  clear(out: Tensor): void {
    const to = host(out);
    this.#rows(to, (t) => row(to, t).fill(0));
  }

  gather(out: Tensor, x: Tensor, indices: Tensor): void {
    shapes.gather(out, x, indices);
    const [to, from, index] = [host(out), host(x), host(indices)];
    this.#rows(to, (s) => row(to, s).set(row(from, index.ints[s]!)));
  }

  sample(outputs: SamplerOutputs, logits: Tensor, inputs: SamplerInputs): void {
    shapes.sample(outputs, logits, inputs);
    const scores = host(logits);
    const [tokens, stats] = [host(outputs.tokens), host(outputs.stats)];
    const [topTokens, topLogprobs] = [host(outputs.topTokens), host(outputs.topLogprobs)];
    this.#rows(scores, (s) => {
      const logprobs = logSoftmax(row(scores, s));
      const { margin, entropy, top } = confidence(logprobs);
      const token = drawToken(row(scores, s), controls(inputs, s));
      tokens.ints[s] = token;
      stats.floats.set([logprobs[token]!, margin, entropy, top], s * 4);
      const best = ops.highest(logprobs, host(inputs.integers).ints[s * 8 + 6]!);
      topTokens.ints.set(best, s * TOP_LOGPROBS);
      topLogprobs.floats.set(best.map((t) => logprobs[t]!), s * TOP_LOGPROBS);
    });
  }

  #rows(tensor: HostTensor, each: (row: number) => void): void {
    this.operations.push((counts) => {
      const live = tensor.live(counts);
      for (let i = 0; i < live; i++) each(i);
    });
  }
}

function row(tensor: HostTensor, index: number): Float32Array {
  return tensor.floats.subarray(index * tensor.width, (index + 1) * tensor.width);
}

function sequence(placement: Placement, token: number): ops.Sequence {
  const pages = host(placement.pages);
  const slot = host(placement.sequences).ints[token]!;
  return {
    position: host(placement.positions).ints[token]!,
    pages: pages.ints.subarray(slot * pages.width, (slot + 1) * pages.width),
  };
}

function controls(inputs: SamplerInputs, sample: number): SamplerControls {
  const floats = host(inputs.controls).floats.subarray(sample * 8, sample * 8 + 8);
  const integers = host(inputs.integers).ints.subarray(sample * 8, sample * 8 + 8);
  const [temperature, topP, minP, repetition, presence, frequency] = floats as unknown as number[];
  const [seedLow, seedHigh, draw, first, pairs, topK] = integers as unknown as number[];
  return {
    temperature: temperature!,
    topP: topP!,
    minP: minP!,
    repetition: repetition!,
    presence: presence!,
    frequency: frequency!,
    topK: topK!,
    seedLow: seedLow!,
    seedHigh: seedHigh!,
    draw: draw!,
    history: host(inputs.history).ints.subarray(first! * 2, (first! + pairs!) * 2),
  };
}
