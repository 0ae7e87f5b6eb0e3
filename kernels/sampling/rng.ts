/** The sampler's random numbers: a pure function of seed and draw index, bit-equal on every backend. */

/** The 32-bit finaliser of MurmurHash3: a bijection that spreads every input bit. */
function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * A uniform number in `[0, 1)` with 24 bits, exact in float32:
 * `mix(mix(mix(seedLow) ^ seedHigh) + draw * 0x9e3779b9) >>> 8`, over `2^24`. Arithmetic is modulo `2^32`.
 *
 * The draw index is the position of the sampled token, so a generation resumed elsewhere draws the same.
 */
export function uniform(seedLow: number, seedHigh: number, draw: number): number {
  const key = mix(mix(seedLow) ^ seedHigh);
  return (mix(key + Math.imul(draw, 0x9e3779b9)) >>> 8) / 2 ** 24;
}
