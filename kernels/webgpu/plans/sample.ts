/** Sampling: a summary of every segment of the logits, then one workgroup a sample that draws. */
import {
  type SamplerInputs,
  type SamplerOutputs,
  type Tensor,
  TOP_LOGPROBS,
} from "../../backend.ts";
import type { Binding, Dispatch, GpuTensor, PlanContext } from "../dispatch.ts";

/** Logits that a thread of a segment has. */
const EACH = 8;
/** Loads of a thread that are on their way at once. */
const BATCH = 16;
/** Floats of a summary, as in `sample_reduce.wgsl`. */
const SUMMARY = 6;
/** Tokens that top-k, top-p and min-p list before they choose among all. */
const LIST = 4096;
/** Bits of a digit, as in `sample_cut.wgsl`. */
const DIGIT = 9;

/** Plans the sampler: what it moves at least is a greedy choice. */
export function planSample(
  context: PlanContext,
  outputs: SamplerOutputs,
  logits: GpuTensor,
  inputs: SamplerInputs,
): Dispatch[] {
  const [rows, vocabulary] = logits.shape as [number, number];
  const pairs = inputs.history.shape[0]!;
  const threads = context.tuning["samplerThreads"] ?? 256;
  const segment = threads * EACH;
  const segments = Math.ceil(vocabulary / segment);
  const replaced = SUMMARY * rows * segments;
  const lists = replaced + pairs;
  const list = context.tuning["samplerList"] ?? LIST;
  const scratch = context.scratch("sample", 4 * (lists + 2 * list * rows));
  const bind = (tensor: Tensor, access: Binding["access"]): Binding => ({
    buffer: context.resolve(tensor).shards[0]!.buffer,
    access,
  });
  const sizes = { THREADS: threads, EACH, SEGMENT: segment, SEGMENTS: segments };
  const vocabularyBytes = 4 * vocabulary;
  return [
    {
      label: "sample, summary of logits",
      kernel: "sample_summary",
      defines: { ...sizes, VOCABULARY: vocabulary },
      bindings: [
        bind(logits, "read"),
        bind(inputs.controls, "read"),
        { buffer: scratch, access: "write" },
      ],
      grid: ({ samples }, into) => {
        into[0] = segments;
        into[1] = samples;
        into[2] = 1;
      },
      cost: ({ samples }) => ({
        bytes: samples * vocabularyBytes,
        flops: 4 * samples * vocabulary,
      }),
    },
    {
      label: "sample, draw",
      kernel: "sample_draw",
      defines: {
        ...sizes,
        VOCABULARY: vocabulary,
        BATCH,
        HISTORY: pairs,
        REPLACED: replaced,
        LISTS: lists,
        LIST: list,
        TOP_LOGPROBS,
        INDEX_DIGITS: Math.ceil(Math.log2(vocabulary) / DIGIT) || 1,
      },
      bindings: [
        bind(logits, "write"),
        bind(inputs.controls, "read"),
        bind(inputs.integers, "read"),
        bind(inputs.history, "read"),
        { buffer: scratch, access: "write" },
        bind(outputs.tokens, "write"),
        bind(outputs.stats, "write"),
        bind(outputs.topTokens, "write"),
        bind(outputs.topLogprobs, "write"),
      ],
      grid: ({ samples }, into) => {
        into[0] = samples;
        into[1] = 1;
        into[2] = 1;
      },
      cost: ({ samples }) => ({
        bytes: 4 * samples * SUMMARY * segments,
        flops: 4 * samples * segments,
      }),
    },
  ];
}
