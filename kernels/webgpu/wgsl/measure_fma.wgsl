// Sixteen independent chains of multiply-adds a thread: what the arithmetic units give.
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let factor = vec4f(0.999);
  let step = vec4f(0.1);
  var a = vec4f(f32(id.x));
  var b = a + 1.0;
  var c = a + 2.0;
  var d = a + 3.0;
  // Unrolled, since counting and bounding a loop takes instructions too.
  for (var i = 0u; i < ROUNDS; i += 16) {
#for I 0 16
    a = fma(a, factor, step);
    b = fma(b, factor, step);
    c = fma(c, factor, step);
    d = fma(d, factor, step);
#endfor
  }
  let sum = dot(a + b, c + d);
  // Never so, which no compiler can know.
  if (sum == 0.123) {
    out[0] = sum;
  }
}
