/**
 * Routing and grouped expert products. Tokens are sorted by expert; an entry is one (token, slot) pair.
 * The table that Group writes: active experts, entries, then per active expert its index, first entry,
 * entries and first tile (4 words); `entryOf[token * topK + slot]` (-1 when not held here) and
 * `tokenOf[entry]` follow.
 */
import { Weight, Word } from "../opcodes";
import { activateRow, addScaled } from "./elementwise";
import { chunkCount, chunkStart } from "./chunks";
import { panelCount, TILE, tileBytes, tileCount, tileTokens } from "./layout";
import { leastPanels, multiply } from "./matmul";
import { packRow } from "./pack";
import { exp1 } from "./exponential";
import { address, liveRows, scratch, word } from "./vector";

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
function groupAt(table: usize, group: i32): usize {
  return table + HEADER + (<usize>group << 4);
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
  let groups = 0, entries = 0, tiles = 0;
  for (let e = 0; e < count; e++) {
    const at = starts + (<usize>e << 2);
    const rows = load<i32>(at);
    store<i32>(at, entries);
    if (rows == 0) continue;
    const group = groupAt(table, groups++);
    store<i32>(group, e);
    store<i32>(group, entries, 4);
    store<i32>(group, rows, 8);
    store<i32>(group, tiles, 12);
    entries += rows;
    tiles += tileCount(rows);
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

/** Entries of the table `P`. */
export function entries(op: usize): i32 {
  return load<i32>(address(op, Word.P), 4);
}

/** Ops with one chunk a group; `P` is the table. */
export function planGroups(op: usize): i32 {
  return load<i32>(address(op, Word.P));
}

/** Address of tile `tile` of a group among the packed entries at `packed`, for the op's `Weight`. */
@inline
function tileAt(op: usize, packed: usize, group: usize, tile: i32): usize {
  const stored = word(address(op, Word.Weight), Weight.Stored);
  return packed + <usize>(load<i32>(group, 12) + tile) * tileBytes(stored, word(op, Word.K));
}

/** GroupPack: rows `tokenOf[entry]` (`R`) of `X` (`K` floats) to `Out` in tiles, for `Weight`. */
export function groupPack(op: usize, index: i32): void {
  const group = groupAt(address(op, Word.P), index), k = word(op, Word.K);
  const first = load<i32>(group, 4), rows = load<i32>(group, 8);
  for (let i = 0; i < rows; i++) {
    const token = load<i32>(address(op, Word.R) + (<usize>(first + i) << 2));
    const x = address(op, Word.X) + ((<usize>token * <usize>k) << 2), tile = i / TILE;
    const to = tileAt(op, address(op, Word.Out), group, tile);
    packRow(address(op, Word.Weight), x, 0, k, to, tileTokens(rows, tile), i % TILE);
  }
}

/** GroupActivate: `X` entries of `2 K` floats (gate, up), gated, to `Out` in tiles, for `Weight`. */
export function groupActivate(op: usize, index: i32, thread: i32): void {
  const group = groupAt(address(op, Word.P), index), k = word(op, Word.K);
  const first = load<i32>(group, 4), rows = load<i32>(group, 8);
  const gated = scratch(thread);
  for (let i = 0; i < rows; i++) {
    const gate = address(op, Word.X) + ((<usize>(first + i) * <usize>k) << 3), tile = i / TILE;
    activateRow(gated, gate, gate + (<usize>k << 2), k);
    const to = tileAt(op, address(op, Word.Out), group, tile);
    packRow(address(op, Word.Weight), gated, 0, k, to, tileTokens(rows, tile), i % TILE);
  }
}

/** GroupMatmul: packed `X` entries times their expert's matrix of `Weight` to `Out` entries. */
export function planGroupMatmul(op: usize): i32 {
  const table = address(op, Word.P), groups = load<i32>(table);
  return groups == 0 ? 0 : chunkCount(groups * panelCount(word(op, Word.N)), leastPanels(op, typicalRows(table)));
}

@inline
function typicalRows(table: usize): i32 {
  return max(1, load<i32>(table, 4) / load<i32>(table));
}

/** A chunk is a range of panels of all groups, one group after another. */
export function groupMatmul(op: usize, chunk: i32, thread: i32): void {
  const table = address(op, Word.P), panels = panelCount(word(op, Word.N));
  const items = load<i32>(table) * panels, least = leastPanels(op, typicalRows(table));
  const end = chunkStart(items, least, chunk + 1);
  for (let item = chunkStart(items, least, chunk); item < end;) {
    const index = item / panels, from = item % panels, to = min(panels, from + end - item);
    groupPart(op, groupAt(table, index), from, to, thread);
    item += to - from;
  }
}

function groupPart(op: usize, group: usize, from: i32, to: i32, thread: i32): void {
  const weight = address(op, Word.Weight), rows = load<i32>(group, 8);
  const matrix = address(weight, Weight.Data) + <usize>load<i32>(group) * address(weight, Weight.Bytes);
  const out = address(op, Word.Out) + ((<usize>load<i32>(group, 4) * <usize>word(op, Word.N)) << 2);
  const x = tileAt(op, address(op, Word.X), group, 0);
  multiply(op, matrix, x, rows, out, from, to, 0, tileCount(rows), thread);
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
