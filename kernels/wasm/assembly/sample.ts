/**
 * Sampling and confidence. Segment summarises a row of logits piece by piece; Draw joins the pieces,
 * samples and reports. Nothing is sorted: thresholds are found by counting in buckets of the float's bits.
 */
import { Word } from "../opcodes";
import { exp1, exp4 } from "./exponential";
import { address, ceilDiv, liveRows, log1, max4, scratch, sum4, word } from "./vector";

/** Logits of a segment, and bytes of its summary: max, second, argmax, Σe, Σe·y. */
const SEGMENT: i32 = 2048;
const SUMMARY: usize = 32;
const BUCKETS: i32 = 2048;

export function planSegment(op: usize): i32 {
  return liveRows(op) * ceilDiv(word(op, Word.N), SEGMENT);
}

/** Segment: `X` logits `[samples, N]`; summaries to `P`. */
export function segment(op: usize, chunk: i32): void {
  const n = word(op, Word.N);
  const parts = ceilDiv(n, SEGMENT);
  const row = chunk / parts, first = (chunk % parts) * SEGMENT;
  const x = address(op, Word.X) + ((<usize>row * <usize>n + <usize>first) << 2);
  const out = address(op, Word.P) + <usize>chunk * SUMMARY;
  const count = min(SEGMENT, n - first);
  findTop(x, count, first, out);
  sumExponentials(x, count, load<f32>(out), out);
}

function findTop(x: usize, count: i32, first: i32, out: usize): void {
  let highest = f32x4.splat(-Infinity), second = f32x4.splat(-Infinity);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const v = v128.load(x + (<usize>i << 2));
    second = f32x4.max(second, f32x4.min(highest, v));
    highest = f32x4.max(highest, v);
  }
  let a = max4(highest), b = max4(second);
  let seen = false;
  const lanes = out + 8;
  v128.store(lanes, highest);
  for (let lane = 0; lane < 4; lane++) {
    const v = load<f32>(lanes + (<usize>lane << 2));
    if (v == a && !seen) seen = true;
    else b = max(b, v);
  }
  for (; i < count; i++) {
    const v = load<f32>(x + (<usize>i << 2));
    if (v > a) {
      b = a;
      a = v;
    } else b = max(b, v);
  }
  store<f32>(out, a);
  store<f32>(out, b, 4);
  store<i32>(out, first + indexOf(x, count, a), 8);
}

/** First index that holds `value`; 0 when none does (not a number). */
function indexOf(x: usize, count: i32, value: f32): i32 {
  const wanted = f32x4.splat(value);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    if (v128.any_true(f32x4.eq(v128.load(x + (<usize>i << 2)), wanted))) break;
  }
  for (; i < count; i++) if (load<f32>(x + (<usize>i << 2)) == value) return i;
  return 0;
}

function sumExponentials(x: usize, count: i32, top: f32, out: usize): void {
  const shift = f32x4.splat(top), floor = f32x4.splat(-1e4);
  let sumA = f32x4.splat(0), sumB = sumA, momentA = sumA, momentB = sumA;
  let i = 0;
  for (; i + 8 <= count; i += 8) {
    const at = x + (<usize>i << 2);
    const a = f32x4.max(f32x4.sub(v128.load(at), shift), floor);
    const b = f32x4.max(f32x4.sub(v128.load(at, 16), shift), floor);
    const ea = exp4(a), eb = exp4(b);
    sumA = f32x4.add(sumA, ea);
    sumB = f32x4.add(sumB, eb);
    momentA = f32x4.add(momentA, f32x4.mul(ea, a));
    momentB = f32x4.add(momentB, f32x4.mul(eb, b));
  }
  let sum = sum4(f32x4.add(sumA, sumB)), moment = sum4(f32x4.add(momentA, momentB));
  for (; i < count; i++) {
    const y = max(load<f32>(x + (<usize>i << 2)) - top, <f32>-1e4);
    const e = exp1(y);
    sum += e;
    moment += e * y;
  }
  store<f32>(out, sum, 12);
  store<f32>(out, moment, 16);
}

/** Draw: the words of a row of `controls` (`Q`) and `integers` (`R`). */
@inline
function control(op: usize, row: i32, index: i32): f32 {
  return load<f32>(address(op, Word.Q) + (<usize>(row * 8 + index) << 2));
}

@inline
function integer(op: usize, row: i32, index: i32): i32 {
  return load<i32>(address(op, Word.R) + (<usize>(row * 8 + index) << 2));
}

/**
 * Draw: one row of `X` logits (`N`), summaries `P`, history `S` of `A` pairs; `Out` tokens, `T` stats,
 * `U` top tokens, `V` top log-probabilities, `B` of them at most.
 */
export function draw(op: usize, row: i32, thread: i32): void {
  const n = word(op, Word.N);
  const parts = ceilDiv(n, SEGMENT);
  const summaries = address(op, Word.P) + <usize>(row * parts) * SUMMARY;
  let top = -Infinity as f32, second = top;
  let best = 0;
  for (let i = 0; i < parts; i++) {
    const at = summaries + <usize>i * SUMMARY;
    const a = load<f32>(at), b = load<f32>(at, 4);
    if (a > top) {
      second = max(top, b);
      top = a;
      best = load<i32>(at, 8);
    } else second = max(second, a);
  }
  let sum: f64 = 0, moment: f64 = 0;
  for (let i = 0; i < parts; i++) {
    const at = summaries + <usize>i * SUMMARY;
    const y = max(load<f32>(at) - top, <f32>-1e4);
    const e = <f64>exp1(y), s = <f64>load<f32>(at, 12);
    sum += e * s;
    moment += e * (<f64>load<f32>(at, 16) + <f64>y * s);
  }
  const logSum = log1(sum);
  const token = choose(op, row, best, thread);
  const x = address(op, Word.X) + ((<usize>row * <usize>n) << 2);
  const shift = <f64>top + logSum;
  const stats = address(op, Word.T) + (<usize>row << 4);
  store<i32>(address(op, Word.Out) + (<usize>row << 2), token);
  store<f32>(stats, <f32>(<f64>load<f32>(x + (<usize>token << 2)) - shift));
  store<f32>(stats, top - second, 4);
  store<f32>(stats, <f32>(logSum - moment / sum), 8);
  store<f32>(stats, <f32>-logSum, 12);
  listTop(op, row, x, n, shift);
}

/** The most probable tokens, best first: insertion into a short sorted list. */
function listTop(op: usize, row: i32, x: usize, n: i32, shift: f64): void {
  const capacity = word(op, Word.B);
  const wanted = min(min(max(integer(op, row, 6), 0), capacity), n);
  if (wanted == 0) return;
  const tokens = address(op, Word.U) + (<usize>(row * capacity) << 2);
  const values = address(op, Word.V) + (<usize>(row * capacity) << 2);
  let held = 0;
  let lowest = -Infinity as f32;
  for (let i = 0; i < n; i++) {
    if (held == wanted && (i & 3) == 0) {
      const bound = f32x4.splat(lowest);
      while (i + 4 <= n && !v128.any_true(f32x4.gt(v128.load(x + (<usize>i << 2)), bound))) i += 4;
      if (i >= n) break;
    }
    const value = load<f32>(x + (<usize>i << 2));
    if (held == wanted && !(value > lowest)) continue;
    let at = held < wanted ? held++ : wanted - 1;
    while (at > 0 && value > load<f32>(values + (<usize>(at - 1) << 2))) {
      store<f32>(values + (<usize>at << 2), load<f32>(values + (<usize>(at - 1) << 2)));
      store<i32>(tokens + (<usize>at << 2), load<i32>(tokens + (<usize>(at - 1) << 2)));
      at--;
    }
    store<f32>(values + (<usize>at << 2), value);
    store<i32>(tokens + (<usize>at << 2), i);
    lowest = load<f32>(values + (<usize>(held - 1) << 2));
  }
  for (let i = 0; i < held; i++) {
    const at = values + (<usize>i << 2);
    store<f32>(at, <f32>(<f64>load<f32>(at) - shift));
  }
}

/** The sampled token of a row; `best` is the argmax of its raw logits. */
function choose(op: usize, row: i32, best: i32, thread: i32): i32 {
  const n = word(op, Word.N);
  const temperature = control(op, row, 0);
  const pairs = historyPairs(op, row);
  if (!(temperature > 0) && pairs == 0) return best;
  const scores = scratch(thread);
  memory.copy(scores, address(op, Word.X) + ((<usize>row * <usize>n) << 2), <usize>n << 2);
  if (pairs > 0) penalise(op, row, pairs, scores, n);
  if (!(temperature > 0)) return argmax(scores, n);
  divide(scores, n, temperature);
  return drawFrom(op, row, scores, n);
}

function historyPairs(op: usize, row: i32): i32 {
  if (control(op, row, 3) == 1.0 && control(op, row, 4) == 0.0 && control(op, row, 5) == 0.0) return 0;
  const capacity = word(op, Word.A);
  const first = integer(op, row, 3);
  if (<u32>first >= <u32>capacity) return 0;
  return max(0, min(integer(op, row, 4), capacity - first));
}

function penalise(op: usize, row: i32, pairs: i32, scores: usize, n: i32): void {
  const repetition = control(op, row, 3), presence = control(op, row, 4), frequency = control(op, row, 5);
  const history = address(op, Word.S) + (<usize>integer(op, row, 3) << 3);
  for (let i = 0; i < pairs; i++) {
    const token = load<i32>(history + (<usize>i << 3)), count = load<i32>(history + (<usize>i << 3), 4);
    if (<u32>token >= <u32>n) continue;
    const at = scores + (<usize>token << 2);
    const score = <f64>load<f32>(at);
    const repeated = score > 0 ? score / <f64>repetition : score * <f64>repetition;
    const present: f64 = count > 0 ? <f64>presence : 0.0;
    store<f32>(at, <f32>(repeated - present - <f64>frequency * <f64>count));
  }
}

function argmax(scores: usize, n: i32): i32 {
  return indexOf(scores, n, highestOf(scores, n));
}

function highestOf(scores: usize, n: i32): f32 {
  let lanes = f32x4.splat(-Infinity);
  let i = 0;
  for (; i + 4 <= n; i += 4) lanes = f32x4.max(lanes, v128.load(scores + (<usize>i << 2)));
  let highest = max4(lanes);
  for (; i < n; i++) highest = max(highest, load<f32>(scores + (<usize>i << 2)));
  return highest;
}

function divide(scores: usize, n: i32, divisor: f32): void {
  const divisors = f32x4.splat(divisor);
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const at = scores + (<usize>i << 2);
    v128.store(at, f32x4.div(v128.load(at), divisors));
  }
  for (; i < n; i++) {
    const at = scores + (<usize>i << 2);
    store<f32>(at, load<f32>(at) / divisor);
  }
}

/** Draws from the `n` scores by top-k, top-p and min-p; `scores`, tokens and masses lie one after the other. */
function drawFrom(op: usize, row: i32, scores: usize, n: i32): i32 {
  const tokens = scores + (<usize>n << 2), masses = tokens + (<usize>n << 2);
  const buckets = (masses + (<usize>n << 2) + 15) & ~15;
  fillIndices(tokens, n);
  const topK = integer(op, row, 5);
  if (topK > 0 && topK < n) n = keepTop(scores, tokens, 0, n, <f64>topK, buckets);
  const total = weigh(scores, masses, n);
  const topP = control(op, row, 1);
  if (topP < 1.0) {
    // Tokens that together weigh less than top-p leaves out are not among those that it keeps; half, to be sure.
    const light = <f32>(0.5 * (1.0 - <f64>topP) * total / <f64>n);
    n = dropLight(scores, tokens, masses, n, light);
    n = keepTop(scores, tokens, masses, n, <f64>topP * total, buckets);
    weigh(scores, masses, n);
  }
  return walk(tokens, masses, n, control(op, row, 2), integer(op, row, 0), integer(op, row, 1), integer(op, row, 2));
}

function fillIndices(tokens: usize, n: i32): void {
  let four = i32x4(0, 1, 2, 3), i = 0;
  for (; i + 4 <= n; i += 4) {
    v128.store(tokens + (<usize>i << 2), four);
    four = i32x4.add(four, i32x4.splat(4));
  }
  for (; i < n; i++) store<i32>(tokens + (<usize>i << 2), i);
}

/** Moves all whose mass is at least `light` to the front, in index order. Returns how many. */
function dropLight(scores: usize, tokens: usize, masses: usize, n: i32, light: f32): i32 {
  const bound = f32x4.splat(light);
  let kept = 0;
  for (let i = 0; i < n; i++) {
    while (i + 4 <= n && !v128.any_true(f32x4.ge(v128.load(masses + (<usize>i << 2)), bound))) i += 4;
    if (i >= n) break;
    const at = <usize>i << 2, to = <usize>kept << 2;
    const mass = load<f32>(masses + at);
    if (!(mass >= light)) continue;
    store<f32>(scores + to, load<f32>(scores + at));
    store<i32>(tokens + to, load<i32>(tokens + at));
    store<f32>(masses + to, mass);
    kept++;
  }
  return kept;
}

/** Masses `e^(score - max)`; returns their sum. */
function weigh(scores: usize, masses: usize, n: i32): f64 {
  const highest = highestOf(scores, n);
  const shift = f32x4.splat(highest);
  let total: f64 = 0;
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const e = exp4(f32x4.sub(v128.load(scores + (<usize>i << 2)), shift));
    v128.store(masses + (<usize>i << 2), e);
    total += <f64>sum4(e);
  }
  for (; i < n; i++) {
    const e = exp1(load<f32>(scores + (<usize>i << 2)) - highest);
    store<f32>(masses + (<usize>i << 2), e);
    total += <f64>e;
  }
  return total;
}

/** Walks the tokens that min-p leaves, in index order, to the one where the drawn mass is used up. */
function walk(tokens: usize, masses: usize, n: i32, minP: f32, low: i32, high: i32, index: i32): i32 {
  let mass: f64 = 0;
  for (let i = 0; i < n; i++) {
    const e = load<f32>(masses + (<usize>i << 2));
    if (e >= minP) mass += <f64>e;
  }
  let remaining = uniform(low, high, index) * mass;
  let last = 0;
  for (let i = 0; i < n; i++) {
    const e = load<f32>(masses + (<usize>i << 2));
    if (!(e >= minP)) continue;
    last = i;
    remaining -= <f64>e;
    if (remaining < 0) break;
  }
  return load<i32>(tokens + (<usize>last << 2));
}

/** The generator of kernels/sampling/rng.ts, bit for bit. */
function uniform(low: i32, high: i32, index: i32): f64 {
  const seed = mix(mix(<u32>low ^ 0x9e3779b9) ^ <u32>high);
  return <f64>mix(seed + <u32>index * 0x9e3779b9) / 4294967296.0;
}

function mix(hash: u32): u32 {
  hash = (hash ^ (hash >> 16)) * 0x85ebca6b;
  hash = (hash ^ (hash >> 13)) * 0xc2b2ae35;
  return hash ^ (hash >> 16);
}

/** The float's bits, reordered so that unsigned comparison orders the floats. */
@inline
function orderKey(at: usize): u32 {
  const bits = load<u32>(at);
  return bits ^ (<u32>(<i32>bits >> 31) | 0x80000000);
}

/**
 * Keeps the smallest set of highest scores whose weight reaches `target`, in index order; the weight of a
 * score is its mass, or 1 when `masses` is 0. Returns how many were kept.
 */
function keepTop(scores: usize, tokens: usize, masses: usize, n: i32, target: f64, buckets: usize): i32 {
  let prefix: u32 = 0, known: u32 = 0;
  let above: f64 = 0;
  for (let shift: u32 = 21;; shift = shift == 21 ? 10 : 0) {
    const bits: u32 = shift == 0 ? 10 : 11;
    fillBuckets(scores, masses, n, buckets, prefix, known, shift, bits);
    let bucket = (1 << bits) - 1;
    while (bucket > 0 && isShort(load<f64>(buckets + (<usize>bucket << 3)), above, target)) {
      above += load<f64>(buckets + (<usize>bucket << 3));
      bucket--;
    }
    prefix |= <u32>bucket << shift;
    known |= ((<u32>1 << bits) - 1) << shift;
    if (shift == 0) break;
  }
  return compact(scores, tokens, masses, n, prefix, target - above);
}

function fillBuckets(
  scores: usize, masses: usize, n: i32, buckets: usize, prefix: u32, known: u32, shift: u32, bits: u32,
): void {
  memory.fill(buckets, 0, <usize>BUCKETS << 3);
  const mask = (<u32>1 << bits) - 1;
  for (let i = 0; i < n; i++) {
    const key = orderKey(scores + (<usize>i << 2));
    if ((key & known) != prefix) continue;
    const at = buckets + (<usize>((key >> shift) & mask) << 3);
    const weight: f64 = masses ? <f64>load<f32>(masses + (<usize>i << 2)) : 1.0;
    store<f64>(at, load<f64>(at) + weight);
  }
}

/** Moves the scores above `threshold`, and as many equal ones as `missing` weight needs, to the front. */
function compact(scores: usize, tokens: usize, masses: usize, n: i32, threshold: u32, missing: f64): i32 {
  let kept = 0;
  for (let i = 0; i < n; i++) {
    const at = <usize>i << 2;
    const key = orderKey(scores + at);
    if (key < threshold) continue;
    if (key == threshold) {
      if (missing <= 0 && kept > 0) continue;
      missing -= masses ? <f64>load<f32>(masses + at) : 1.0;
    }
    const to = <usize>kept << 2;
    store<f32>(scores + to, load<f32>(scores + at));
    store<i32>(tokens + to, load<i32>(tokens + at));
    kept++;
  }
  return kept;
}

/** Whether a bucket is empty or does not bring the weight to the target. */
@inline
function isShort(weight: f64, above: f64, target: f64): bool {
  return weight == 0 || above + weight < target;
}
