// Sums over a workgroup of GROUP invocations (a power of two), the same in each of them.
var<workgroup> partial_sums: array<f32, GROUP>;

fn group_sum(value: f32, lane: u32) -> f32 {
  partial_sums[lane] = value;
  for (var stride = GROUP / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (lane < stride) {
      partial_sums[lane] += partial_sums[lane + stride];
    }
  }
  workgroupBarrier();
  return partial_sums[0];
}
