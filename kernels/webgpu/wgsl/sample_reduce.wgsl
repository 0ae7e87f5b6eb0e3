// Reductions and prefix sums over a workgroup of THREADS (a power of two).

var<workgroup> lanes: array<vec4<f32>, THREADS>;

// Below every logit that matters, and finite.
const LOWEST = -3.4e38;
// Floats of a segment's summary: its two highest logits, the index of the first, and three sums.
const SUMMARY = 6u;

// The highest value with its index (the lowest of equal ones), and the value that comes after it.
struct Top {
  value: f32,
  second: f32,
  index: u32,
}

fn is_before(value: f32, index: u32, other: f32, other_index: u32) -> bool {
  return value > other || (value == other && index < other_index);
}

fn join(a: Top, b: Top) -> Top {
  if (is_before(b.value, b.index, a.value, a.index)) {
    return Top(b.value, max(a.value, b.second), b.index);
  }
  return Top(a.value, max(a.second, b.value), a.index);
}

fn packed(top: Top) -> vec4<f32> {
  return vec4<f32>(top.value, top.second, f32(top.index), 0);
}

fn unpacked(top: vec4<f32>) -> Top {
  return Top(top.x, top.y, u32(top.z));
}

// The same in every thread.
fn top_of_all(own: Top, thread: u32) -> Top {
  workgroupBarrier();
  lanes[thread] = packed(own);
  for (var half = THREADS / 2u; half > 0; half /= 2) {
    workgroupBarrier();
    if (thread < half) {
      lanes[thread] = packed(join(unpacked(lanes[thread]), unpacked(lanes[thread + half])));
    }
  }
  return unpacked(workgroupUniformLoad(&lanes[0]));
}

// The same in every thread.
fn sum_of_all(own: vec4<f32>, thread: u32) -> vec4<f32> {
  workgroupBarrier();
  lanes[thread] = own;
  for (var half = THREADS / 2u; half > 0; half /= 2) {
    workgroupBarrier();
    if (thread < half) {
      lanes[thread] += lanes[thread + half];
    }
  }
  return workgroupUniformLoad(&lanes[0]);
}

// The sum of the threads before this one.
fn sum_before(own: vec4<f32>, thread: u32) -> vec4<f32> {
  workgroupBarrier();
  lanes[thread] = own;
  for (var distance = 1u; distance < THREADS; distance *= 2) {
    workgroupBarrier();
    var sum = lanes[thread];
    if (thread >= distance) {
      sum += lanes[thread - distance];
    }
    workgroupBarrier();
    lanes[thread] = sum;
  }
  workgroupBarrier();
  if (thread == 0) {
    return vec4<f32>();
  }
  return lanes[thread - 1];
}
