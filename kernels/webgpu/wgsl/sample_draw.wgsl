// Draws a token for each sample and reports on it: one workgroup a row, from the summaries of its segments.
// The order of steps is that of Hugging Face: penalties, temperature, top-k, top-p, min-p, draw. The greedy
// choice reads no logits, a draw without limits one segment; limits read the row once, unless they keep thousands.
#include "step.wgsl"
#include "sample_reduce.wgsl"
#include "sample_row.wgsl"
#include "sample_list.wgsl"
#include "sample_cut.wgsl"
#include "sample_uniform.wgsl"

@group(0) @binding(6) var<storage, read_write> tokens: array<i32>;
@group(0) @binding(7) var<storage, read_write> stats: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> top_tokens: array<i32>;
@group(0) @binding(9) var<storage, read_write> top_logprobs: array<f32>;

// Weights of the segments' tokens that stay.
var<workgroup> segment_mass: array<f32, SEGMENTS>;
// The highest logit of each segment that is not yet listed, and where.
var<workgroup> segment_value: array<f32, SEGMENTS>;
var<workgroup> segment_index: array<u32, SEGMENTS>;
var<workgroup> drawn_segment: u32;
// What is left of the draw at the start of that segment.
var<workgroup> drawn_rest: f32;
var<workgroup> drawn_token: atomic<u32>;
var<workgroup> last_token: atomic<u32>;

fn segment_top(row: u32, segment: u32) -> Top {
  let at = SUMMARY * (row * SEGMENTS + segment);
  return Top(scratch[at], scratch[at + 1], u32(scratch[at + 2]));
}

// Sums over a segment with its highest logit as 0: of e, of e times its exponent, of e at the temperature.
fn segment_sums(row: u32, segment: u32) -> vec4<f32> {
  let at = SUMMARY * (row * SEGMENTS + segment) + 3;
  return vec4<f32>(scratch[at], scratch[at + 1], scratch[at + 2], 0);
}

// Sums of exp(logit - highest), and of the same times its exponent, over the row.
fn row_sums(row: u32, top: f32, thread: u32) -> vec4<f32> {
  var own = vec4<f32>();
  for (var i = thread; i < SEGMENTS; i += THREADS) {
    let sums = segment_sums(row, i);
    let exponent = max(segment_top(row, i).value - top, -1e4);
    own += exp(exponent) * vec4<f32>(sums.x, sums.y + exponent * sums.x, 0, 0);
  }
  return sum_of_all(own, thread);
}

fn row_top(row: u32, thread: u32) -> Top {
  var own = Top(LOWEST, LOWEST, VOCABULARY);
  for (var i = thread; i < SEGMENTS; i += THREADS) {
    own = join(own, segment_top(row, i));
  }
  return top_of_all(own, thread);
}

// The highest logit of the row as it is now.
fn current_top(row: u32, thread: u32) -> Top {
  var own = Top(LOWEST, LOWEST, VOCABULARY);
  for (var i = thread; i < VOCABULARY; i += BATCH * THREADS) {
    var values: array<f32, BATCH>;
#for I 0 BATCH
    values[I] = logit(row, i + I * THREADS);
#endfor
    for (var j = 0u; j < BATCH; j++) {
      own = join(own, Top(values[j], LOWEST, i + j * THREADS));
    }
  }
  return top_of_all(own, thread);
}

// Lists the most probable tokens, best first.
fn list_top(row: u32, log_sum: f32, top: f32, thread: u32) {
  let wanted = min(min(integer(row, 6), TOP_LOGPROBS), VOCABULARY);
  if (wanted == 0) {
    return;
  }
  for (var i = thread; i < SEGMENTS; i += THREADS) {
    let best = segment_top(row, i);
    segment_value[i] = best.value;
    segment_index[i] = best.index;
  }
  for (var n = 0u; n < wanted; n++) {
    var own = Top(LOWEST, LOWEST, VOCABULARY);
    for (var i = thread; i < SEGMENTS; i += THREADS) {
      own = join(own, Top(segment_value[i], LOWEST, segment_index[i]));
    }
    let best = top_of_all(own, thread);
    let next = next_in_segment(row, best, thread);
    if (thread == 0) {
      top_tokens[row * TOP_LOGPROBS + n] = i32(min(best.index, VOCABULARY - 1));
      top_logprobs[row * TOP_LOGPROBS + n] = best.value - top - log_sum;
    }
    if (best.index / SEGMENT % THREADS == thread && best.index < VOCABULARY) {
      segment_value[best.index / SEGMENT] = next.value;
      segment_index[best.index / SEGMENT] = next.index;
    }
  }
}

// What comes after `best` in its segment.
fn next_in_segment(row: u32, best: Top, thread: u32) -> Top {
  var own = Top(LOWEST, LOWEST, VOCABULARY);
  let first = best.index / SEGMENT * SEGMENT;
  for (var i = thread; i < SEGMENT; i += THREADS) {
    let value = logit(row, first + i);
    if (is_before(best.value, best.index, value, first + i)) {
      own = join(own, Top(value, LOWEST, first + i));
    }
  }
  return top_of_all(own, thread);
}

// The weight of a token, 0 unless it stays.
fn staying_weight(value: f32, index: u32, floor_weight: f32) -> f32 {
  let weight = weight_of(value);
  return select(0.0, weight, weight >= floor_weight && stays(distance_of(value), index));
}

// The masses of all segments; four at once.
fn measure_segments(row: u32, floor_weight: f32, thread: u32) {
  for (var segment = 0u; segment < SEGMENTS; segment += 4) {
    let first = segment * SEGMENT + thread;
    var values: array<vec4<f32>, EACH>;
#for I 0 EACH
    values[I] = vec4<f32>(
      logit(row, first + I * THREADS),
      logit(row, first + SEGMENT + I * THREADS),
      logit(row, first + 2 * SEGMENT + I * THREADS),
      logit(row, first + 3 * SEGMENT + I * THREADS),
    );
#endfor
    var own = vec4<f32>();
#for I 0 EACH
    own += vec4<f32>(
      staying_weight(values[I].x, first + I * THREADS, floor_weight),
      staying_weight(values[I].y, first + SEGMENT + I * THREADS, floor_weight),
      staying_weight(values[I].z, first + 2 * SEGMENT + I * THREADS, floor_weight),
      staying_weight(values[I].w, first + 3 * SEGMENT + I * THREADS, floor_weight),
    );
#endfor
    let sums = sum_of_all(own, thread);
    if (thread < 4 && segment + thread < SEGMENTS) {
      segment_mass[segment + thread] = sums[thread];
    }
  }
}

// The masses of all segments, where every token stays as it is.
fn recall_segments(row: u32, thread: u32) {
  for (var i = thread; i < SEGMENTS; i += THREADS) {
    segment_mass[i] = weight_of(segment_top(row, i).value) * segment_sums(row, i).z;
  }
}

// Finds the segment in which the draw falls.
fn find_segment(draw: f32) {
  var total = 0.0;
  for (var i = 0u; i < SEGMENTS; i++) {
    total += segment_mass[i];
  }
  var left = draw * total;
  var rest = left;
  drawn_segment = highest_index / SEGMENT;
  for (var i = 0u; i < SEGMENTS && left >= 0; i++) {
    if (segment_mass[i] > 0) {
      drawn_segment = i;
      rest = left;
      left -= segment_mass[i];
    }
  }
  drawn_rest = rest;
}

// Finds the token of that segment on which the draw falls.
fn find_token(row: u32, floor_weight: f32, thread: u32) -> u32 {
  let first = workgroupUniformLoad(&drawn_segment) * SEGMENT + thread * EACH;
  if (thread == 0) {
    atomicStore(&drawn_token, VOCABULARY);
    atomicStore(&last_token, 0);
  }
  var weights: array<f32, EACH>;
  var own = 0.0;
#for I 0 EACH
  weights[I] = staying_weight(logit(row, first + I), first + I, floor_weight);
  own += weights[I];
#endfor
  var before = sum_before(vec4<f32>(own), thread).x;
#for I 0 EACH
  if (weights[I] > 0) {
    before += weights[I];
    atomicMax(&last_token, first + I);
    if (before > drawn_rest) {
      atomicMin(&drawn_token, first + I);
    }
  }
#endfor
  workgroupBarrier();
  let token = atomicLoad(&drawn_token);
  return select(atomicLoad(&last_token), token, token < VOCABULARY);
}

// Draws from the list of what may stay.
fn draw_listed(row: u32, thread: u32) -> u32 {
  let draw = max(uniform_of(row), 1e-30);
  let token = find_last(row, draw, true, 0, DISTANCE_DIGITS, false, thread).first;
  return select(token, highest_index, listed == 1);
}

// Draws from the row as it is now.
fn draw_token(row: u32, pairs: u32, thread: u32) -> u32 {
  let top_k = select(0u, integer(row, 5), integer(row, 5) < VOCABULARY);
  let top_p = control(row, 1);
  let min_p = min(control(row, 2), 1);
  last_distance = BEYOND;
  last_index = BEYOND;
  least_weight = 0;
  listed = 0;
  let is_limited = top_k > 0 || top_p < 1 || min_p > 0;
  // The mass of which top-p takes a share; 0 = that of the tokens that top-k leaves.
  var all = 0.0;
  var is_listed = false;
  if (is_limited && has_bound(top_k, pairs)) {
    let least = least_logit(row, top_k, top_p, min_p, pairs, thread);
    let mass = make_list(row, least, thread);
    all = select(mass, 0.0, top_k > 0);
    is_listed = workgroupUniformLoad(&shared_length) > 0;
  }
  for (var limit = 0u; limit < 2; limit++) {
    let by_mass = limit == 1;
    if (select(top_k > 0, top_p < 1, by_mass)) {
      cut(row, select(f32(top_k), max(top_p, 1e-30), by_mass), by_mass, all, thread);
    }
  }
  least_weight = min_p;
  if (is_listed) {
    return draw_listed(row, thread);
  }
  if (pairs == 0 && !is_limited) {
    recall_segments(row, thread);
  } else {
    measure_segments(row, min_p, thread);
  }
  workgroupBarrier();
  if (thread == 0) {
    find_segment(uniform_of(row));
  }
  return find_token(row, min_p, thread);
}

fn choose(row: u32, best: Top, thread: u32) -> u32 {
  let temperature = control(row, 0);
  let pairs = history_pairs(row);
  var top = best;
  if (pairs > 0) {
    penalise(row, pairs, thread);
    top = current_top(row, thread);
  }
  var token = top.index;
  if (temperature > 0) {
    highest = top.value;
    highest_index = top.index;
    inverse_temperature = 1 / temperature;
    token = draw_token(row, pairs, thread);
  }
  if (pairs > 0) {
    restore(row, pairs, thread);
  }
  return min(token, VOCABULARY - 1);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.x;
  let top = row_top(row, thread);
  let sums = row_sums(row, top.value, thread);
  let log_sum = log(sums.x);
  list_top(row, log_sum, top.value, thread);
  let token = choose(row, top, thread);
  if (thread == 0) {
    tokens[row] = i32(token);
    stats[row] = vec4<f32>(
      logit(row, token) - top.value - log_sum,
      top.value - top.second,
      log_sum - sums.y / sums.x,
      -log_sum,
    );
  }
}
