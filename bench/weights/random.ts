import { configOf } from "./config.ts";
import type { ModelShape } from "../shapes.ts";
import { type TensorInfo, tensorsOf, type TensorSource } from "./tensors.ts";

/** Odd, so that no two rows of a tensor start at the same place of the block. */
const blockElements = 4_194_301;
const weightStd = 0.02;
/** Sharp enough that rounding near a tie of the last chosen expert does not matter. */
const routerStd = 0.125;

/** Uniform numbers in (0, 1), the same for the same seed. */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (((mixed ^ (mixed >>> 15)) >>> 0) + 0.5) / 2 ** 32;
  };
}

/**
 * A model with seeded random F16 weights: normal matrices, norms of 1. Matrices are windows on one
 * block of noise that repeats, so gigabytes cost no more than copying.
 */
export function randomModel(shape: ModelShape, seed: number): TensorSource {
  const config = configOf(shape);
  const tensors = tensorsOf(config);
  const weights = normalBlock(seed, weightStd);
  const router = shape.experts === undefined ? weights : normalBlock(seed + 1, routerStd);
  const ones = new Uint8Array(new Uint16Array(shape.dim).fill(0x3c00).buffer);
  const random = uniform(seed + 2);
  const starts = new Map(tensors.map((t) => [t, Math.floor(random() * blockElements) * 2]));
  const read = (tensor: TensorInfo, offset: number, into: Uint8Array) => {
    if (tensor.shape.length === 1) return copyTiled(ones, offset, into);
    const block = tensor.name.endsWith("block_sparse_moe.gate.weight") ? router : weights;
    copyTiled(block, starts.get(tensor)! + offset, into);
  };
  return { config, tensors, read };
}

function normalBlock(seed: number, std: number): Uint8Array {
  const random = uniform(seed);
  const block = new Float16Array(blockElements);
  for (let i = 0; i < blockElements; i += 2) {
    const radius = std * Math.sqrt(-2 * Math.log(random()));
    const angle = 2 * Math.PI * random();
    block[i] = radius * Math.cos(angle);
    if (i + 1 < blockElements) block[i + 1] = radius * Math.sin(angle);
  }
  return new Uint8Array(block.buffer);
}

function copyTiled(block: Uint8Array, start: number, into: Uint8Array): void {
  let from = start % block.length;
  for (let to = 0; to < into.length;) {
    const piece = block.subarray(from, Math.min(block.length, from + into.length - to));
    into.set(piece, to);
    to += piece.length;
    from = 0;
  }
}
