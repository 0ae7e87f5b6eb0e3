// Top-k and top-p without sorting. Tokens are ordered by their distance from the highest logit over the
// temperature, then by index; both as integers. The last token that stays is found digit by digit from the
// most significant one, with a histogram of BUCKETS in workgroup memory (radix selection).

const DIGIT = 9u;
const BUCKETS = 512u;
// Distances reach 32, where a weight is 1e-14, in steps of 2^-22.
const DISTANCE_DIGITS = 3u;
const STEPS = 4194304.0;
const BEYOND = 0xffffffffu;

// A range of distances and, where that is a single one, of indices; all ends included.
struct Span {
  nearest: u32,
  furthest: u32,
  first: u32,
  last: u32,
}

// The last token of the row that stays, and the least weight that does.
var<private> last_distance: u32;
var<private> last_index: u32;
var<private> least_weight: f32;

var<workgroup> counts: array<atomic<u32>, BUCKETS>;
// Weights in units of 2^-31, of 64 bits: sums of integers do not depend on their order.
var<workgroup> masses_low: array<atomic<u32>, BUCKETS>;
var<workgroup> masses_high: array<atomic<u32>, BUCKETS>;
var<workgroup> furthest_bucket: atomic<u32>;
// The bucket with the last token that stays, the measure before it, and whether all of it stays.
var<workgroup> chosen_bucket: u32;
var<workgroup> chosen_before: f32;
var<workgroup> chosen_stays: u32;

fn distance_of(value: f32) -> u32 {
  let distance = (highest - value) * inverse_temperature;
  return select(BEYOND, u32(distance * STEPS), distance < 32);
}

fn stays(distance: u32, index: u32) -> bool {
  return distance < last_distance || (distance == last_distance && index <= last_index);
}

fn clear_buckets(thread: u32) {
  for (var i = thread; i < BUCKETS; i += THREADS) {
    atomicStore(&counts[i], 0);
    atomicStore(&masses_low[i], 0);
    atomicStore(&masses_high[i], 0);
  }
  if (thread == 0) {
    atomicStore(&furthest_bucket, 0);
  }
  workgroupBarrier();
}

fn count_token(value: f32, index: u32, span: Span, digit: u32, by_mass: bool) {
  let distance = distance_of(value);
  let is_near = distance >= span.nearest && distance <= span.furthest;
  if (!is_near || index < span.first || index > span.last || !stays(distance, index)) {
    return;
  }
  var bucket = (distance - span.nearest) >> ((DISTANCE_DIGITS - 1 - digit) * DIGIT);
  if (digit >= DISTANCE_DIGITS) {
    bucket = (index - span.first) >> ((DISTANCE_DIGITS + INDEX_DIGITS - 1 - digit) * DIGIT);
  }
  let weight = weight_of(value);
  if (by_mass && weight < least_weight) {
    return;
  }
  atomicAdd(&counts[bucket], 1);
  if (!by_mass) {
    return;
  }
  let mass = u32(weight * 2147483648.0);
  if (atomicAdd(&masses_low[bucket], mass) > 0xffffffffu - mass) {
    atomicAdd(&masses_high[bucket], 1);
  }
}

// Counts the tokens of the list, if there is one, else of the row.
fn fill_buckets(row: u32, span: Span, digit: u32, by_mass: bool, thread: u32) {
  for (var i = thread; i < listed; i += THREADS) {
    let at = list_of(row) + 2 * i;
    count_token(scratch[at], u32(scratch[at + 1]), span, digit, by_mass);
  }
  let length = select(VOCABULARY, 0u, listed > 0);
  for (var i = thread; i < length; i += BATCH * THREADS) {
    var values: array<f32, BATCH>;
#for I 0 BATCH
    values[I] = logit(row, i + I * THREADS);
#endfor
    for (var j = 0u; j < BATCH; j++) {
      count_token(values[j], i + j * THREADS, span, digit, by_mass);
    }
  }
  workgroupBarrier();
}

// Tokens of a bucket, or their mass.
fn measure_of(bucket: u32, by_mass: bool) -> f32 {
  if (!by_mass) {
    return f32(atomicLoad(&counts[bucket]));
  }
  let low = f32(atomicLoad(&masses_low[bucket]));
  return (f32(atomicLoad(&masses_high[bucket])) * 4294967296.0 + low) / 2147483648.0;
}

// Chooses the last bucket that holds a token with less than the limit before it.
fn choose_bucket(before_all: f32, limit: f32, by_mass: bool, thread: u32) {
  const each = BUCKETS / THREADS;
  var own = 0.0;
  for (var i = 0u; i < each; i++) {
    own += measure_of(thread * each + i, by_mass);
  }
  let start = before_all + sum_before(vec4<f32>(own), thread).x;
  var before = start;
  for (var i = 0u; i < each; i++) {
    let bucket = thread * each + i;
    if (atomicLoad(&counts[bucket]) > 0 && before < limit) {
      atomicMax(&furthest_bucket, bucket);
    }
    before += measure_of(bucket, by_mass);
  }
  workgroupBarrier();
  let bucket = atomicLoad(&furthest_bucket);
  if (bucket / each == thread) {
    before = start;
    for (var i = thread * each; i < bucket; i++) {
      before += measure_of(i, by_mass);
    }
    chosen_bucket = bucket;
    chosen_before = before;
    let is_single = atomicLoad(&counts[bucket]) == 1;
    chosen_stays = u32(is_single || before + measure_of(bucket, by_mass) <= limit);
  }
}

fn narrowed(span: Span, digit: u32, bucket: u32) -> Span {
  if (digit < DISTANCE_DIGITS) {
    let width = 1u << ((DISTANCE_DIGITS - 1 - digit) * DIGIT);
    let nearest = span.nearest + bucket * width;
    return Span(nearest, nearest + width - 1, span.first, span.last);
  }
  let width = 1u << ((DISTANCE_DIGITS + INDEX_DIGITS - 1 - digit) * DIGIT);
  let first = span.first + bucket * width;
  return Span(span.nearest, span.furthest, first, first + width - 1);
}

// Finds the last token with less than a limit before it: tokens, or, by mass, a share of `all`, or of what stays
// where that is 0. From digit `first` on; the span is of that token, or, if `may_stop`, of others that stay with it.
fn find_last(
  row: u32,
  bound: f32,
  by_mass: bool,
  all: f32,
  first: u32,
  may_stop: bool,
  thread: u32,
) -> Span {
  var span = Span(0, (1u << (DISTANCE_DIGITS * DIGIT)) - 1, 0, (1u << (INDEX_DIGITS * DIGIT)) - 1);
  var before = 0.0;
  var limit = bound;
  for (var digit = first; digit < DISTANCE_DIGITS + INDEX_DIGITS; digit++) {
    clear_buckets(thread);
    fill_buckets(row, span, digit, by_mass, thread);
    if (by_mass && digit == first) {
      let counted = total_mass(thread);
      limit = bound * select(counted, all, all > 0);
    }
    choose_bucket(before, limit, by_mass, thread);
    before = workgroupUniformLoad(&chosen_before);
    span = narrowed(span, digit, workgroupUniformLoad(&chosen_bucket));
    if (workgroupUniformLoad(&chosen_stays) == 1 && may_stop) {
      break;
    }
  }
  return span;
}

// Of the tokens that stay, keeps those with less than the limit before them.
fn cut(row: u32, bound: f32, by_mass: bool, all: f32, thread: u32) {
  let span = find_last(row, bound, by_mass, all, 0, true, thread);
  last_distance = span.furthest;
  last_index = span.last;
}

// The mass in all buckets.
fn total_mass(thread: u32) -> f32 {
  var own = 0.0;
  for (var i = thread; i < BUCKETS; i += THREADS) {
    own += measure_of(i, true);
  }
  return sum_of_all(vec4<f32>(own), thread).x;
}
