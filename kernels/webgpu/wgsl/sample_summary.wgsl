// Summarises SEGMENT logits of a sample: the two highest, and sums over e = exp(logit - highest).
#include "step.wgsl"
#include "sample_reduce.wgsl"

@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> controls: array<f32>;
@group(0) @binding(3) var<storage, read_write> summaries: array<f32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.y;
  let first = group.x * SEGMENT + thread;
  var values: array<f32, EACH>;
#for I 0 EACH
  values[I] = LOWEST;
  if (first + I * THREADS < VOCABULARY) {
    values[I] = logits[row * VOCABULARY + first + I * THREADS];
  }
#endfor
  var own = Top(LOWEST, LOWEST, first);
#for I 0 EACH
  own = join(own, Top(values[I], LOWEST, first + I * THREADS));
#endfor
  let top = top_of_all(own, thread);

  // Sums of e, of e times its exponent, and of e at the sample's temperature.
  let temperature = controls[row * 8];
  let inverse = select(0.0, 1 / temperature, temperature > 0);
  var sums = vec4<f32>();
#for I 0 EACH
  {
    let below = values[I] - top.value;
    let exponent = max(below, -1e4);
    let e = exp(exponent);
    sums += vec4<f32>(e, e * exponent, exp(below * inverse), 0);
  }
#endfor
  let total = sum_of_all(sums, thread);
  if (thread == 0) {
    let at = SUMMARY * (row * SEGMENTS + group.x);
    summaries[at] = top.value;
    summaries[at + 1] = top.second;
    summaries[at + 2] = f32(top.index);
    summaries[at + 3] = total.x;
    summaries[at + 4] = total.y;
    summaries[at + 5] = total.z;
  }
}
