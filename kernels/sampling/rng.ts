/**
 * The random numbers of the sampler: a counter-based generator, so that a request draws the same
 * number at the same step on every backend, in every batch, after any restart.
 *
 * With `mix` the 32-bit finaliser of MurmurHash3 and all arithmetic modulo 2³²:
 *
 *     a = mix(seedLow ^ 0x9e3779b9)
 *     b = mix(a ^ seedHigh)
 *     c = mix(b + draw * 0x9e3779b9)
 *     uniform = c / 2³²
 *
 * Every backend computes exactly this; the quotient is exact in float64.
 *
 * @param seedLow Low 32 bits of the seed, signed or unsigned.
 * @param seedHigh High 32 bits of the seed, signed or unsigned.
 * @param draw Index of the draw, 32 bits.
 * @returns A number in [0, 1), a multiple of 2⁻³².
 */
export function uniform(seedLow: number, seedHigh: number, draw: number): number {
  const low = mix(seedLow ^ 0x9e3779b9);
  const seed = mix(low ^ seedHigh);
  return mix(seed + Math.imul(draw, 0x9e3779b9)) / 2 ** 32;
}

function mix(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
