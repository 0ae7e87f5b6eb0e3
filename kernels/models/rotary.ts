import type { ModelSpec, RotaryScaling } from "./spec.ts";

/**
 * Cosines and sines of the rotary embedding, float32 `[positions, headDim]`: the `headDim/2` cosines of a
 * position, then its sines. Angles are rounded to float32 before the cosine, as in Hugging Face.
 */
export function rotaryTable(
  spec: Pick<ModelSpec, "headDim" | "theta" | "scaling">,
  positions: number,
): Float32Array<ArrayBuffer> {
  const half = spec.headDim / 2;
  const frequencies = inverseFrequencies(spec);
  const table = new Float32Array(positions * spec.headDim);
  for (let position = 0; position < positions; position++) {
    const row = position * spec.headDim;
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * frequencies[i]!);
      table[row + i] = Math.cos(angle);
      table[row + half + i] = Math.sin(angle);
    }
  }
  return table;
}

/** The angular frequency of each pair, float32 `[headDim / 2]`, after scaling. */
export function inverseFrequencies(
  { headDim, theta, scaling }: Pick<ModelSpec, "headDim" | "theta" | "scaling">,
): Float32Array {
  return Float32Array.from(
    { length: headDim / 2 },
    (_, i) => scaled(1 / theta ** (2 * i / headDim), scaling),
  );
}

function scaled(frequency: number, scaling: RotaryScaling): number {
  if (scaling.kind === "default") return frequency;
  if (scaling.kind === "linear") return frequency / scaling.factor;
  const { factor, lowFrequencyFactor, highFrequencyFactor, originalPositions } = scaling;
  const turns = originalPositions * frequency / (2 * Math.PI);
  if (turns < lowFrequencyFactor) return frequency / factor;
  if (turns > highFrequencyFactor) return frequency;
  const share = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
  return (1 - share) * frequency / factor + share * frequency;
}
