import { uniform } from "../../kernels/sampling/rng.ts";

const MASK = 0xffffffffn;

/** MurmurHash3's finaliser in integers without limit. */
function mix(value: bigint): bigint {
  let hash = value & MASK;
  hash = (hash ^ (hash >> 16n)) * 0x85ebca6bn & MASK;
  hash = (hash ^ (hash >> 13n)) * 0xc2b2ae35n & MASK;
  return hash ^ (hash >> 16n);
}

Deno.test("uniform() is the documented function of seed and draw", () => {
  for (
    const [low, high, draw] of [[0, 0, 0], [1, -1, 7], [-5, 2 ** 31, 2 ** 32 - 1], [9, 8, 977]]
  ) {
    const seed = mix(mix(BigInt(low!) ^ 0x9e3779b9n) ^ BigInt(high!));
    const expected = Number(mix(seed + BigInt(draw!) * 0x9e3779b9n)) / 2 ** 32;
    const actual = uniform(low!, high!, draw!);
    if (actual !== expected) throw new Error(`uniform(${low}, ${high}, ${draw}) is ${actual}`);
  }
});

Deno.test("uniform() fills [0, 1) evenly over draws and over seeds", () => {
  const [buckets, count] = [64, 64000];
  for (const vary of ["draw", "low", "high"]) {
    const counts = new Array<number>(buckets).fill(0);
    for (let i = 0; i < count; i++) {
      const u = uniform(vary === "low" ? i : 3, vary === "high" ? i : 4, vary === "draw" ? i : 5);
      if (!(u >= 0 && u < 1)) throw new Error(`Outside [0, 1): ${u}`);
      counts[Math.floor(u * buckets)]!++;
    }
    const expected = count / buckets;
    const chiSquare = counts.reduce((sum, c) => sum + (c - expected) ** 2 / expected, 0);
    if (chiSquare > 104) throw new Error(`Chi-square of 63 degrees over ${vary} is ${chiSquare}`);
  }
});
