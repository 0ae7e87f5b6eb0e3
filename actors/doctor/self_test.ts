import type { Backend } from "../../kernels/mod.ts";

const ROWS = 3;
const WIDTH = 64;

/**
 * Multiplies small matrices on a backend and returns the relative error, the root of squared differences over
 * that of squared values, against the same product in float64.
 */
export async function selfTest(backend: Backend): Promise<number> {
  const tensor = (label: string, rows: number, activation: boolean) =>
    backend.tensor({
      label,
      dtype: "f32",
      shape: [rows, WIDTH],
      ...(activation && { rows: "tokens" as const }),
    });
  const x = tensor("self-test x", ROWS, true);
  const weight = tensor("self-test weight", WIDTH, false);
  const out = tensor("self-test out", ROWS, true);
  const [xs, weights] = [values(ROWS * WIDTH, 1), values(WIDTH * WIDTH, 2)];
  backend.write(x, xs);
  backend.write(weight, weights);
  backend.seal(weight);
  const program = backend.record("self-test", (r) => r.linear(out, x, weight), { outputs: [out] });
  await backend.run(program, { tokens: ROWS, samples: 0 });
  return difference(
    await backend.read(out, new Float32Array(ROWS * WIDTH)),
    product(xs, weights),
  );
}

function values(count: number, seed: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => Math.sin((i + 1) * (seed + 0.37)));
}

function product(x: Float32Array, weight: Float32Array): Float64Array {
  return Float64Array.from({ length: ROWS * WIDTH }, (_, at) => {
    const [row, column] = [Math.floor(at / WIDTH), at % WIDTH];
    let sum = 0;
    for (let k = 0; k < WIDTH; k++) sum += x[row * WIDTH + k]! * weight[column * WIDTH + k]!;
    return sum;
  });
}

function difference(found: Float32Array, expected: Float64Array): number {
  const square = (sum: number, value: number) => sum + value ** 2;
  const error = found.map((value, i) => value - expected[i]!).reduce(square, 0);
  return Math.sqrt(error / expected.reduce(square, 0));
}
