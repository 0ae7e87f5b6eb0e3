/** float16 in memory, one at a time. */

/** An f16 pattern as the float32 with the same fields: the value times 2^-112, exact. */
@inline
export function widenHalf(half: u32): f32 {
  return reinterpret<f32>(((half & 0x7fff) << 13) | ((half & 0x8000) << 16));
}

/** An f16 times a power of two that it has room for. */
@inline
export function scaleHalf(half: u32, factor: f32): u16 {
  return <u16>((half & 0x8000) | (reinterpret<u32>(widenHalf(half & 0x7fff) * factor) >> 13));
}
