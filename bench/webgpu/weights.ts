/** Random weights of any dtype: gigabytes cost no more than copying. */
import type { TensorInfo, WeightDType, WeightSource } from "../../kernels/mod.ts";
import type { ModelShape } from "../shapes.ts";
import { configOf, tensorsOf, uniform } from "../weights/mod.ts";

/** Numbers of a block, its bytes, and where its scales lie. */
interface Block {
  readonly elements: number;
  readonly bytes: number;
  readonly scales: readonly { readonly at: number; readonly value: number }[];
}

/** Scales under which random numbers of a block have about the deviation 0.02. */
const blocks: Readonly<Partial<Record<WeightDType, Block>>> = {
  q8_0: { elements: 32, bytes: 34, scales: [{ at: 0, value: 0.02 / 74 }] },
  q4_0: { elements: 32, bytes: 18, scales: [{ at: 0, value: 0.02 / 4.6 }] },
  q4_k: {
    elements: 256,
    bytes: 144,
    scales: [{ at: 0, value: 0.02 / 150 }, { at: 2, value: 0.02 / 20 }],
  },
  q6_k: { elements: 256, bytes: 210, scales: [{ at: 208, value: 0.02 / 1400 }] },
};

/** Blocks of the noise that repeats; a prime, so that rows begin at different places of it. */
const NOISE_BLOCKS = 65521;
const DEVIATION = 0.02;

/** A model's weights, matrices in `dtype` and norms of 1, the same for the same seed. */
export class RandomWeights implements WeightSource {
  readonly #tensors: ReadonlyMap<string, TensorInfo & { readonly start: number }>;
  readonly #noise: Uint8Array;

  constructor(shape: ModelShape, dtype: WeightDType, seed = 1) {
    const random = uniform(seed);
    const block = blocks[dtype] ?? floatBlock(dtype);
    this.#noise = noiseOf(block, dtype, random);
    this.#tensors = new Map(
      tensorsOf(configOf(shape)).map(({ name, shape }) => {
        const count = shape.reduce((product, size) => product * size, 1);
        if (shape.length === 1) {
          return [name, { dtype: "f32", shape, byteLength: 4 * count, start: 0 }];
        }
        const start = Math.floor(random() * NOISE_BLOCKS) * block.bytes;
        return [name, { dtype, shape, byteLength: count / block.elements * block.bytes, start }];
      }),
    );
  }

  names(): readonly string[] {
    return [...this.#tensors.keys()];
  }

  info(name: string): TensorInfo | undefined {
    return this.#tensors.get(name);
  }

  read(name: string, byteOffset: number, into: Uint8Array): void {
    const { dtype, shape, start } = this.#tensors.get(name)!;
    if (dtype === "f32" && shape.length === 1) {
      into.set(new Uint8Array(new Float32Array(into.length / 4).fill(1).buffer));
      return;
    }
    const noise = this.#noise;
    let at = (start + byteOffset) % noise.length;
    for (let to = 0; to < into.length; at = 0) {
      const piece = noise.subarray(at, Math.min(noise.length, at + into.length - to));
      into.set(piece, to);
      to += piece.length;
    }
  }

  hash(): Promise<string> {
    return Promise.resolve("random");
  }

  close(): void {}
}

function floatBlock(dtype: WeightDType): Block {
  return { elements: 32, bytes: dtype === "f32" ? 128 : 64, scales: [] };
}

function noiseOf(block: Block, dtype: WeightDType, random: () => number): Uint8Array {
  const count = NOISE_BLOCKS * block.elements;
  const value = () => (random() - 0.5) * DEVIATION * Math.sqrt(12);
  if (dtype === "f32") return bytesOf(Float32Array.from({ length: count }, value));
  if (dtype === "f16") return bytesOf(Float16Array.from({ length: count }, value));
  if (dtype === "bf16") {
    const bits = new Uint32Array(Float32Array.from({ length: count }, value).buffer);
    return bytesOf(Uint16Array.from(bits, (word) => word >>> 16));
  }
  const noise = Uint8Array.from(
    { length: NOISE_BLOCKS * block.bytes },
    () => Math.floor(random() * 256),
  );
  for (const { at, value } of block.scales) {
    const scale = bytesOf(Float16Array.of(value));
    for (let i = at; i < noise.length; i += block.bytes) noise.set(scale, i);
  }
  return noise;
}

function bytesOf({ buffer }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer);
}
