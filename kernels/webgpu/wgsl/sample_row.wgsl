// One sample's row of logits and its controls. The row is private to a workgroup.

@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@group(0) @binding(2) var<storage, read> controls: array<f32>;
@group(0) @binding(3) var<storage, read> integers: array<i32>;
@group(0) @binding(4) var<storage, read> history: array<vec2<i32>>;
// The summaries of all rows, then the logits that penalties replaced.
@group(0) @binding(5) var<storage, read_write> scratch: array<f32>;

// Of the row at work, as drawn from: its highest logit and where, and 1 / temperature.
var<private> highest: f32;
var<private> highest_index: u32;
var<private> inverse_temperature: f32;

fn control(row: u32, index: u32) -> f32 {
  return controls[row * 8 + index];
}

fn integer(row: u32, index: u32) -> u32 {
  return u32(max(integers[row * 8 + index], 0));
}

// LOWEST beyond the vocabulary.
fn logit(row: u32, index: u32) -> f32 {
  let value = logits[row * VOCABULARY + min(index, VOCABULARY - 1)];
  return select(LOWEST, value, index < VOCABULARY);
}

// Pairs of the row's history; 0 when no penalty is on.
fn history_pairs(row: u32) -> u32 {
  let is_off = control(row, 3) == 1 && control(row, 4) == 0 && control(row, 5) == 0;
  if (is_off || integer(row, 3) >= HISTORY) {
    return 0;
  }
  return min(integer(row, 4), HISTORY - integer(row, 3));
}

// Replaces the logits of the row's history by penalised ones, and keeps them.
fn penalise(row: u32, pairs: u32, thread: u32) {
  for (var i = thread; i < pairs; i += THREADS) {
    let pair = history[integer(row, 3) + i];
    if (pair.x < 0 || pair.x >= VOCABULARY) {
      continue;
    }
    let at = row * VOCABULARY + u32(pair.x);
    let value = logits[at];
    let repeated = select(value * control(row, 3), value / control(row, 3), value > 0);
    let present = select(0.0, control(row, 4), pair.y > 0);
    scratch[REPLACED + integer(row, 3) + i] = value;
    logits[at] = repeated - present - control(row, 5) * f32(pair.y);
  }
  storageBarrier();
}

// Puts the raw logits back.
fn restore(row: u32, pairs: u32, thread: u32) {
  storageBarrier();
  for (var i = thread; i < pairs; i += THREADS) {
    let token = history[integer(row, 3) + i].x;
    if (token >= 0 && token < VOCABULARY) {
      logits[row * VOCABULARY + u32(token)] = scratch[REPLACED + integer(row, 3) + i];
    }
  }
  storageBarrier();
}

// Share of the highest logit's probability that a logit has, at the temperature.
fn weight_of(value: f32) -> f32 {
  return exp((value - highest) * inverse_temperature);
}
