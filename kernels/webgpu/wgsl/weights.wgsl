// A weight's rows, ROW_VECTORS vectors of 16 bytes each, as plans/weights.ts arranges them.
//
// A *unit* is what one thread reads at once: 16 bytes of numbers with their scales, which it decodes in PARTS
// parts of four elements. Parts of neighbouring units are neighbours in x, so that threads read x side by side.
//   UNITS                      units of a row
//   PARTS                      parts of a unit
//   load_unit(row, unit)       what a thread keeps of a unit
//   decode(unit, part)         the elements of a part
//   part_index(unit, part)     which four elements of the row they are
//   weight4(row, index)        the same elements, alone
// Of blocks of small integers, gemv_packed.wgsl also asks for what a unit is in integers:
//   X_UNITS                    runs of 16 elements in it
//   x_unit(unit, half)         which of the row they are
//   integers(unit, half)       their signed bytes
//   integer_scale(unit, half)  what these are multiplied by
//   MINIMA                     integer_minimum(unit, half) is then subtracted

@group(0) @binding(1) var<storage, read> weights: array<vec4u>;

// Bits moved under the exponent of 1, as floats without a conversion: 1 + integer / 2^(bits of the mask).
fn mantissas(bits: vec4u, mask: u32) -> vec4f {
  return bitcast<vec4f>((bits & vec4u(mask)) | vec4u(0x3f800000u));
}

#ifdef WEIGHT_F32
#include "weights_f32.wgsl"
#endif
#ifdef WEIGHT_F16
#include "weights_f16.wgsl"
#endif
#ifdef WEIGHT_BF16
#include "weights_bf16.wgsl"
#endif
#ifdef WEIGHT_Q8_0
#include "weights_q8_0.wgsl"
#endif
#ifdef WEIGHT_Q4_0
#include "weights_q4_0.wgsl"
#endif
#ifdef WEIGHT_Q4_K
#include "weights_q4_k.wgsl"
#endif
#ifdef WEIGHT_Q6_K
#include "weights_q6_k.wgsl"
#endif
