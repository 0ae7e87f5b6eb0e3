// What the matrix kernels share: a workgroup has RESULTS of the N results of each row.
#include "step.wgsl"
#include "weights.wgsl"
#include "activations.wgsl"

@group(0) @binding(3) var<storage, read_write> out: array<f32>;
#ifdef BIAS
@group(0) @binding(4) var<storage, read> bias: array<f32>;
#endif

// The weight's row for row `i` of a workgroup. With SWIGLU there are N gate rows, then N up rows.
fn weight_row(first: u32, i: u32) -> u32 {
  return min(first + i % RESULTS, N - 1u) + select(0u, N, i >= RESULTS);
}

// a · b + sum, in this order in every kernel, so that a row's result does not depend on its batch.
fn dot4(a: vec4f, b: vec4f, sum: f32) -> f32 {
  return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

fn silu(value: f32) -> f32 {
  return value / (1.0 + exp(-value));
}

fn put(row: u32, result: u32, sum: f32) {
  let at = row * WIDTH + COLUMN + result;
  var value = sum;
#ifdef BIAS
  value += bias[BIAS_FIRST + result];
#endif
#ifdef ADD
  value += out[at];
#endif
  out[at] = value;
}
