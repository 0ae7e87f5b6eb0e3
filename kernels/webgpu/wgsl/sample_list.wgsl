// A list of the tokens that top-k, top-p and min-p may keep: most vocabularies have few, and all that follows then
// reads these only. Of each its logit and its index, in no order.

// Tokens in the list; 0 = it would be too long, and the row is read instead.
var<private> listed: u32;

var<workgroup> list_length: atomic<u32>;
var<workgroup> shared_length: u32;
// The logit of the segment whose highest is the k-th.
var<workgroup> kth_highest: f32;

fn list_of(row: u32) -> u32 {
  return LISTS + 2 * LIST * row;
}

// Whether the limits of a row tell the least logit that they may keep. Penalties replaced `pairs` logits.
fn has_bound(top_k: u32, pairs: u32) -> bool {
  // As many more, for that penalties may have taken some away.
  return top_k == 0 || top_k + pairs <= SEGMENTS;
}

// Lists the tokens from a logit on. Gives the mass of all tokens.
fn make_list(row: u32, least: f32, thread: u32) -> f32 {
  if (thread == 0) {
    atomicStore(&list_length, 0);
  }
  workgroupBarrier();
  var own = 0.0;
  for (var i = thread; i < VOCABULARY; i += BATCH * THREADS) {
    var values: array<f32, BATCH>;
#for I 0 BATCH
    values[I] = logit(row, i + I * THREADS);
#endfor
    for (var j = 0u; j < BATCH; j++) {
      own += weight_of(values[j]);
      if (values[j] >= least) {
        let at = atomicAdd(&list_length, 1);
        if (at < LIST) {
          scratch[list_of(row) + 2 * at] = values[j];
          scratch[list_of(row) + 2 * at + 1] = f32(i + j * THREADS);
        }
      }
    }
  }
  storageBarrier();
  workgroupBarrier();
  if (thread == 0) {
    let length = atomicLoad(&list_length);
    shared_length = select(length, 0u, length > LIST);
  }
  listed = workgroupUniformLoad(&shared_length);
  return sum_of_all(vec4<f32>(own), thread).x;
}

// A logit that at least k tokens of the raw row reach: the k-th highest of the segments.
fn kth_bound(row: u32, k: u32, thread: u32) -> f32 {
  if (thread == 0) {
    kth_highest = LOWEST;
  }
  workgroupBarrier();
  for (var i = thread; i < SEGMENTS; i += THREADS) {
    let own = segment_top(row, i);
    var better = 0u;
    for (var j = 0u; j < SEGMENTS; j++) {
      let other = segment_top(row, j);
      better += u32(is_before(other.value, other.index, own.value, own.index));
    }
    if (better == k - 1) {
      kth_highest = own.value;
    }
  }
  return workgroupUniformLoad(&kth_highest);
}

// The least logit that the limits of a row may keep, if they have a bound.
fn least_logit(row: u32, top_k: u32, top_p: f32, min_p: f32, pairs: u32, thread: u32) -> f32 {
  if (top_k > 0) {
    return kth_bound(row, top_k + pairs, thread);
  }
  // Further tokens weigh less than min-p, or all together less than what top-p leaves out.
  var reach = 1e30;
  if (min_p > 0) {
    reach = -log(min_p);
  }
  if (top_p < 1) {
    reach = min(reach, log(VOCABULARY / (1 - top_p)));
  }
  return highest - (reach + 0.01) / inverse_temperature;
}
