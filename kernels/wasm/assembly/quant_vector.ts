/** Small vector functions of quantised weights. */

/** `c` + dot products of four bytes a lane: `a` signed, `b` at most 127, so that no build saturates. */
@inline
export function dot(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.relaxed_dot_i8x16_i7x16_add_s(a, b, c);
  const even = i32x4.dot_i16x8_s(i16x8.shr_s(i16x8.shl(a, 8), 8), v128.and(b, i16x8.splat(255)));
  const odd = i32x4.dot_i16x8_s(i16x8.shr_s(a, 8), i16x8.shr_u(b, 8));
  return i32x4.add(c, i32x4.add(even, odd));
}

/** Four f16 as float32, exact for every finite one; subnormals too, without a subnormal on the way. */
@inline
export function halves4(from: usize): v128 {
  const bits = v128.load16x4_s(from);
  const magnitude = i32x4.shl(v128.and(bits, i32x4.splat(0x7fff)), 13);
  const tiny = i32x4.lt_s(magnitude, i32x4.splat(1 << 23));
  const biased = i32x4.add(magnitude, i32x4.splat(112 << 23));
  const raised = i32x4.add(biased, v128.and(tiny, i32x4.splat(1 << 23)));
  const value = f32x4.sub(raised, v128.and(tiny, i32x4.splat(113 << 23)));
  return v128.or(value, v128.and(bits, i32x4.splat(1 << 31)));
}

/** Four unsigned bytes as float32. */
@inline
export function bytes4(from: usize): v128 {
  const shorts = i16x8.extend_low_i8x16_u(v128.load32_zero(from));
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(shorts));
}

/** Four signed bytes as float32. */
@inline
export function signedBytes4(from: usize): v128 {
  const shorts = i16x8.extend_low_i8x16_s(v128.load32_zero(from));
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(shorts));
}

/** One f16 as float32. */
export function half1(from: usize): f32 {
  const bits = <u32>load<u16>(from);
  const value = (bits & 0x7fff) < 0x400
    ? <f32>(bits & 0x3ff) * reinterpret<f32>((127 - 24) << 23)
    : reinterpret<f32>(((bits & 0x7fff) << 13) + (112 << 23));
  return bits >> 15 ? -value : value;
}
