/**
 * Routing and grouped expert products. Tokens are sorted by expert; an entry is one (token, slot) pair.
 * The table that Group writes: active experts, entries, then per active expert its index, first entry and
 * entries (3 words); `entryOf[token * topK + slot]` (-1 when not held here) and `tokenOf[entry]` follow.
 */
import { Weight, Word } from "../opcodes";
import { address, exp1, liveRows, number, silu4, loadTail, word } from "./vector";
import { addScaled } from "./elementwise";
import { groupChunks, groupPart, packTile, tileCount, tileStart } from "./matmul";

const HEADER: usize = 64;

/** Route: `X` scores `[tokens, N]` to `Out` experts and `P` weights `[tokens, K]`; `Flags` normalises. */
export function route(op: usize, token: i32): void {
  const n = word(op, Word.N), k = word(op, Word.K);
  const scores = address(op, Word.X) + ((<usize>token * <usize>n) << 2);
  const experts = address(op, Word.Out) + ((<usize>token * <usize>k) << 2);
  const weights = address(op, Word.P) + ((<usize>token * <usize>k) << 2);
  let top = -Infinity as f32;
  for (let i = 0; i < n; i++) top = max(top, load<f32>(scores + (<usize>i << 2)));
  let total: f64 = 0;
  for (let i = 0; i < n; i++) {
    const at = scores + (<usize>i << 2);
    const e = exp1(load<f32>(at) - top);
    total += <f64>e;
  }
  let chosen: f64 = 0;
  for (let slot = 0; slot < k; slot++) {
    const best = nextBest(scores, n, experts, slot);
    const e = exp1(load<f32>(scores + (<usize>best << 2)) - top);
    chosen += <f64>e;
    store<i32>(experts + (<usize>slot << 2), best);
    store<f32>(weights + (<usize>slot << 2), e);
  }
  const scale = <f32>(1.0 / (word(op, Word.Flags) ? chosen : total));
  for (let slot = 0; slot < k; slot++) {
    const at = weights + (<usize>slot << 2);
    store<f32>(at, load<f32>(at) * scale);
  }
}

/** Index of the highest score below those already chosen; equal scores by lower index. */
function nextBest(scores: usize, n: i32, chosen: usize, count: i32): i32 {
  let best = -1;
  let highest: f32 = 0;
  const last = count > 0 ? load<i32>(chosen + (<usize>(count - 1) << 2)) : -1;
  const bound = last >= 0 ? load<f32>(scores + (<usize>last << 2)) : Infinity as f32;
  for (let i = 0; i < n; i++) {
    const score = load<f32>(scores + (<usize>i << 2));
    if (last >= 0 && !(score < bound || (score == bound && i > last))) continue;
    if (best < 0 || score > highest) {
      best = i;
      highest = score;
    }
  }
  return best < 0 ? 0 : best;
}

@inline
export function groupAt(table: usize, group: i32): usize {
  return table + HEADER + <usize>group * 12;
}

/**
 * Group: sorts the choices `X` `[tokens, K]` of the experts `A` to `A + B - 1` into the table `P`;
 * `Q` entryOf, `R` tokenOf, `S` a counter for each expert. Small, so one thread does it while planning.
 */
export function planGroup(op: usize): i32 {
  const pairs = liveRows(op) * word(op, Word.K);
  const choices = address(op, Word.X), table = address(op, Word.P);
  const first = word(op, Word.A), count = word(op, Word.B);
  const starts = address(op, Word.S);
  memory.fill(starts, 0, <usize>count << 2);
  for (let i = 0; i < pairs; i++) {
    const expert = load<i32>(choices + (<usize>i << 2)) - first;
    if (<u32>expert >= <u32>count) continue;
    const at = starts + (<usize>expert << 2);
    store<i32>(at, load<i32>(at) + 1);
  }
  listGroups(table, starts, count);
  fillEntries(op, pairs, starts);
  return 0;
}

function listGroups(table: usize, starts: usize, count: i32): void {
  let groups = 0, entries = 0;
  for (let e = 0; e < count; e++) {
    const at = starts + (<usize>e << 2);
    const rows = load<i32>(at);
    store<i32>(at, entries);
    if (rows == 0) continue;
    const group = groupAt(table, groups++);
    store<i32>(group, e);
    store<i32>(group, entries, 4);
    store<i32>(group, rows, 8);
    entries += rows;
  }
  store<i32>(table, groups);
  store<i32>(table, entries, 4);
}

function fillEntries(op: usize, pairs: i32, starts: usize): void {
  const choices = address(op, Word.X), k = word(op, Word.K);
  const first = word(op, Word.A), count = word(op, Word.B);
  for (let i = 0; i < pairs; i++) {
    const expert = load<i32>(choices + (<usize>i << 2)) - first;
    let entry = -1;
    if (<u32>expert < <u32>count) {
      const at = starts + (<usize>expert << 2);
      entry = load<i32>(at);
      store<i32>(at, entry + 1);
      store<i32>(address(op, Word.R) + (<usize>entry << 2), i / k);
    }
    store<i32>(address(op, Word.Q) + (<usize>i << 2), entry);
  }
}

/** Ops with one chunk a group; `P` is the table. */
export function planGroups(op: usize): i32 {
  return load<i32>(address(op, Word.P));
}

/** GroupPack: rows `tokenOf[entry]` (`R`) of `X` (`K` floats) to `Out` in tile order, for `Weight`. */
export function groupPack(op: usize, index: i32): void {
  const group = groupAt(address(op, Word.P), index);
  const k = word(op, Word.K);
  const scale = number(address(op, Word.Weight), Weight.InScale);
  const first = load<i32>(group, 4), rows = load<i32>(group, 8);
  const tiles = tileCount(rows);
  for (let t = 0; t < tiles; t++) {
    const start = tileStart(rows, tiles, t), tokens = tileStart(rows, tiles, t + 1) - start;
    const to = address(op, Word.Out) + ((<usize>(first + start) * <usize>k) << 2);
    for (let i = 0; i < tokens; i++) {
      const entry = first + start + i;
      const token = load<i32>(address(op, Word.R) + (<usize>entry << 2));
      packColumn(address(op, Word.X) + ((<usize>token * <usize>k) << 2), k, scale, to, tokens, i);
    }
  }
}

/** Writes one row as column `column` of a tile of `tokens` columns. */
function packColumn(x: usize, k: i32, scale: f32, tile: usize, tokens: i32, column: i32): void {
  const stride = <usize>tokens << 2;
  let at = tile + (<usize>column << 2);
  for (let i = 0; i < k; i++) {
    store<f32>(at, load<f32>(x + (<usize>i << 2)) * scale);
    at += stride;
  }
}

/** GroupMatmul: packed `X` entries times their expert's matrix of `Weight` to `Out` entries. */
export function planGroupMatmul(op: usize): i32 {
  const table = address(op, Word.P);
  const groups = load<i32>(table);
  return groups == 0 ? 0 : groups * groupChunks(op, typicalRows(table));
}

@inline
export function typicalRows(table: usize): i32 {
  return max(1, load<i32>(table, 4) / load<i32>(table));
}

export function groupMatmul(op: usize, chunk: i32, thread: i32): void {
  const table = address(op, Word.P);
  const typical = typicalRows(table);
  const parts = groupChunks(op, typical);
  const group = groupAt(table, chunk / parts);
  groupPart(op, load<i32>(group), load<i32>(group, 4), load<i32>(group, 8), typical, chunk % parts, thread);
}

/** GroupActivate: `X` entries of `2 K` floats (gate, up) to `Out` in tile order, for `Weight`. */
export function groupActivate(op: usize, index: i32): void {
  const group = groupAt(address(op, Word.P), index);
  const k = word(op, Word.K);
  const scale = number(address(op, Word.Weight), Weight.InScale);
  const first = load<i32>(group, 4), rows = load<i32>(group, 8);
  const tiles = tileCount(rows);
  for (let t = 0; t < tiles; t++) {
    const start = tileStart(rows, tiles, t), tokens = tileStart(rows, tiles, t + 1) - start;
    const to = address(op, Word.Out) + ((<usize>(first + start) * <usize>k) << 2);
    for (let i = 0; i < tokens; i++) {
      const gate = address(op, Word.X) + ((<usize>(first + start + i) * <usize>k) << 3);
      activateColumn(gate, k, scale, to, tokens, i);
    }
  }
}

function activateColumn(gate: usize, k: i32, scale: f32, tile: usize, tokens: i32, column: i32): void {
  const up = gate + (<usize>k << 2), stride = <usize>tokens << 2;
  let to = tile + (<usize>column << 2);
  for (let i = 0; i < k; i += 4) {
    const at = <usize>i << 2, count = k - i;
    const g = count >= 4 ? v128.load(gate + at) : loadTail(gate + at, count);
    const u = count >= 4 ? v128.load(up + at) : loadTail(up + at, count);
    const v = f32x4.mul(f32x4.mul(silu4(g), u), f32x4.splat(scale));
    store<f32>(to, f32x4.extract_lane(v, 0));
    if (count > 1) store<f32>(to + stride, f32x4.extract_lane(v, 1));
    if (count > 2) store<f32>(to + 2 * stride, f32x4.extract_lane(v, 2));
    if (count > 3) store<f32>(to + 3 * stride, f32x4.extract_lane(v, 3));
    to += 4 * stride;
  }
}

/** Combine: `Out[token] += Σ weight * X[entry]` over its `K` slots, in order; `Q` entryOf, `T` weights. */
export function combine(op: usize, token: i32): void {
  const n = word(op, Word.N), k = word(op, Word.K);
  const out = address(op, Word.Out) + ((<usize>token * <usize>n) << 2);
  for (let slot = 0; slot < k; slot++) {
    const pair = <usize>(token * k + slot) << 2;
    const entry = load<i32>(address(op, Word.Q) + pair);
    if (entry < 0) continue;
    const x = address(op, Word.X) + ((<usize>entry * <usize>n) << 2);
    addScaled(out, x, load<f32>(address(op, Word.T) + pair), n);
  }
}
