/** Data and helpers that the contract's cases share. */
import type { Backend, Rows, Tensor, WeightDType } from "../../../kernels/backend.ts";
import { isQuantised, widen } from "../../../kernels/dtype.ts";
import { quantise } from "../../support/quantise.ts";

/**
 * Most relative error (norm of the difference over norm of the expected) of a product with weights of each dtype.
 * Backends may round the activations that meet quantised weights to 16 bits.
 */
export const relativeErrors: Readonly<Record<WeightDType, number>> = {
  f32: 1e-6,
  f16: 1e-6,
  bf16: 1e-6,
  q8_0: 5e-5,
  q6_k: 5e-5,
  q4_k: 5e-5,
  q4_0: 5e-5,
};

/** A backend under test, and how to make one. */
export interface ContractTarget {
  readonly name: string;
  /** Numbers of threads that must agree bit by bit; `[1]` where there are none to choose. */
  readonly threads: readonly number[];
  /** Creates a backend of at most `maxBytes`, where it can be limited. */
  create(
    options: { threads: number; maxBytes?: number },
  ): Promise<(Disposable | AsyncDisposable) & { backend: Backend }>;
}

/** Seeded uniform numbers in [-1, 1). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  next(): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    let x = this.#state;
    x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
    return ((x ^ (x >>> 13)) >>> 0) / 2 ** 31 - 1;
  }

  floats(count: number, scale = 1): Float32Array<ArrayBuffer> {
    return Float32Array.from({ length: count }, () => this.next() * scale);
  }

  below(limit: number): number {
    return Math.floor((this.next() + 1) / 2 * limit);
  }
}

/** A weight as stored bytes, and the values that the bytes mean. */
export function encode(
  dtype: WeightDType,
  values: Float32Array,
): { bytes: Uint8Array; values: Float32Array } {
  if (dtype === "f32") return { bytes: bytesOf(values), values };
  if (isQuantised(dtype)) {
    const bytes = quantise(dtype, values);
    return { bytes, values: widen(dtype, bytes.buffer) };
  }
  if (dtype === "f16") {
    const halves = Float16Array.from(values);
    return { bytes: bytesOf(halves), values: Float32Array.from(halves) };
  }
  const shorts = Uint16Array.from(new Uint32Array(values.slice().buffer), (bits) => bits >>> 16);
  const widened = Uint32Array.from(shorts, (bits) => bits << 16);
  return { bytes: bytesOf(shorts), values: new Float32Array(widened.buffer) };
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** Loads and seals a weight. */
export function weight(
  backend: Backend,
  dtype: WeightDType,
  shape: readonly number[],
  random: Random,
  scale = 1,
): { tensor: Tensor; values: Float32Array } {
  const count = shape.reduce((a, b) => a * b, 1);
  const { bytes, values } = encode(dtype, random.floats(count, scale));
  const tensor = backend.tensor({ label: `weight ${dtype} ${shape.join("x")}`, dtype, shape });
  backend.load(tensor, 0, bytes.length, (into, offset) => {
    into.set(bytes.subarray(offset, offset + into.length));
  });
  backend.seal(tensor);
  return { tensor, values };
}

/** An f32 activation of `rows` rows. */
export function activation(
  backend: Backend,
  shape: readonly number[],
  values?: Float32Array,
  rows: Rows = "tokens",
): Tensor {
  const tensor = backend.tensor({ label: `rows ${shape.join("x")}`, dtype: "f32", shape, rows });
  if (values) backend.write(tensor, values);
  return tensor;
}

/** i32 values, by rows of `rows` when given. */
export function integers(
  backend: Backend,
  shape: readonly number[],
  values?: ArrayLike<number>,
  rows?: Rows,
): Tensor {
  const spec = { label: `integers ${shape.join("x")}`, dtype: "i32" as const, shape };
  const tensor = backend.tensor(rows ? { ...spec, rows } : spec);
  if (values) backend.write(tensor, Int32Array.from(values));
  return tensor;
}

/** Reads the first `count` floats. */
export function floats(backend: Backend, tensor: Tensor, count: number): Promise<Float32Array> {
  return backend.read(tensor, new Float32Array(count));
}

/** Row `row` of width `width`. */
export function rowOf(values: Float32Array, row: number, width: number): Float32Array {
  return values.subarray(row * width, (row + 1) * width);
}

/** `x · weightᵀ` in float64: rows of `x` of width k times rows of `weight`. */
export function multiply(
  x: ArrayLike<number>,
  weightValues: Float32Array,
  k: number,
  n: number,
  from = 0,
): Float64Array {
  const result = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let j = 0; j < k; j++) sum += x[j]! * weightValues[(from + i) * k + j]!;
    result[i] = sum;
  }
  return result;
}

export function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}

/** Fails where `actual` is further from `expected` than `tolerance` times (1 + its magnitude). */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  what: string,
  tolerance = 1e-5,
): void {
  if (actual.length !== expected.length) {
    throw new Error(`${what}: length ${actual.length}, expected ${expected.length}`);
  }
  for (let i = 0; i < actual.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!];
    if (a === e || Math.abs(a - e) <= tolerance * (1 + Math.abs(e))) continue;
    throw new Error(`${what}: value ${i} is ${a}, expected ${e}`);
  }
}

/** Fails where the norm of the difference is over `tolerance` times that of what was expected. */
export function assertNear(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  what: string,
  tolerance: number,
): void {
  let [error, size] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    error += (actual[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  const relative = Math.sqrt(error / size);
  if (actual.length === expected.length && relative <= tolerance) return;
  throw new Error(`${what}: relative error ${relative}, at most ${tolerance} expected`);
}

/** Fails unless both hold the same bits. */
export function assertSame(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  what: string,
): void {
  if (actual.length !== expected.length) {
    throw new Error(`${what}: length ${actual.length}, expected ${expected.length}`);
  }
  for (let i = 0; i < actual.length; i++) {
    if (!Object.is(actual[i], expected[i])) {
      throw new Error(`${what}: value ${i} is ${actual[i]}, expected ${expected[i]}`);
    }
  }
}

/** Fails unless `act` throws or rejects with a KernelError of this code whose message says `says`. */
export async function assertRefused(
  act: () => unknown,
  code: string,
  says: string,
): Promise<void> {
  try {
    await act();
  } catch (error) {
    const { name, code: actual, message } = error as Error & { code?: string };
    if (name === "KernelError" && actual === code && message.includes(says)) return;
    throw new Error(`Refused with ${name} ${actual} "${message}", expected ${code} "${says}"`);
  }
  throw new Error(`Not refused, expected ${code} "${says}"`);
}
