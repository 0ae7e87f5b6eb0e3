import { FormatError } from "../errors.ts";

const TOLERANCE = 1e-4;

/** A `rope_scaling` of type llama3, as Hugging Face names its fields. */
export interface Llama3Scaling {
  readonly rope_type: "llama3";
  readonly factor: number;
  readonly low_freq_factor: number;
  readonly high_freq_factor: number;
  readonly original_max_position_embeddings: number;
}

/**
 * Finds the llama3 scaling that divides the rotary frequencies of base `theta` by these factors, one a
 * pair. A file holds the factors only. They fix the scaling but for the unit of turns, so the low bound is
 * taken as 1 turn, as all published models have it. Returns `undefined` for factors of 1. Throws
 * {@link FormatError} `Unsupported` for factors of any other scaling.
 */
export function llama3Scaling(
  factors: ArrayLike<number>,
  theta: number,
  file: string,
): Llama3Scaling | undefined {
  const pairs = Array.from(factors, (factor, i) => ({
    factor,
    frequency: 1 / theta ** (i / factors.length),
  }));
  if (pairs.every(({ factor }) => factor === 1)) return undefined;
  const factor = pairs.at(-1)!.factor;
  for (const bounds of [fitBounds(pairs, factor), { high: 4, positions: 8192 }]) {
    if (bounds !== undefined && matches(pairs, factor, bounds)) {
      return {
        rope_type: "llama3",
        factor,
        low_freq_factor: 1,
        high_freq_factor: bounds.high,
        original_max_position_embeddings: bounds.positions,
      };
    }
  }
  throw new FormatError(
    "Unsupported",
    `Cannot find llama3 scaling of rope_freqs.weight in ${file}: ${
      [...pairs.slice(-1)][0]!.factor
    }`,
  );
}

interface Pair {
  readonly frequency: number;
  readonly factor: number;
}

interface Bounds {
  readonly high: number;
  readonly positions: number;
}

/** Between the bounds the share of the kept frequency is a line over the frequency: two points fix it. */
function fitBounds(pairs: readonly Pair[], factor: number): Bounds | undefined {
  const between = pairs.filter((pair) => pair.factor > 1 && pair.factor < factor);
  const [first, last] = [between[0], between.at(-1)];
  if (first === undefined || last === undefined || first === last) return undefined;
  const share = (pair: Pair) => (1 / pair.factor - 1 / factor) / (1 - 1 / factor);
  const slope = (share(first) - share(last)) / (first.frequency - last.frequency);
  const intercept = slope * last.frequency - share(last);
  const high = Number((1 + 1 / intercept).toPrecision(4));
  return { high, positions: Math.round(2 * Math.PI * slope * (high - 1)) };
}

function matches(pairs: readonly Pair[], factor: number, { high, positions }: Bounds): boolean {
  if (!(high > 1 && positions >= 1)) return false;
  return pairs.every((pair) => {
    const turns = positions * pair.frequency / (2 * Math.PI);
    const share = Math.min(1, Math.max(0, (turns - 1) / (high - 1)));
    const expected = 1 / ((1 - share) / factor + share);
    return Math.abs(pair.factor - expected) <= TOLERANCE * expected;
  });
}
