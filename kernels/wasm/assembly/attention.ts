/**
 * Attention over the paged cache, a span of some pages after another with a running softmax (Dao et al.,
 * "FlashAttention", 2022, section 3.1). Query heads that share a key head are the tokens of a tile.
 */
import { Stored, Word } from "../opcodes";
import {
  blockBytes, blockOf, cacheWidth, isScaled, pageOf, positionOf, roundToStrip, sequenceOf, stripOf, widenKeys,
  widenValues,
} from "./cache";
import { runCacheTile } from "./tiles";
import { exp1, expRow } from "./exponential";
import { address, liveRows, max4, powerOf2, scratch, touch, word } from "./vector";

/** Slots of a span, unless one page has more; the host sets memory aside for as many. */
const SPAN: i32 = 128;
/** Most heads of a tile. */
const HEADS: i32 = 4;

/** What a thread works on, in its scratch memory: a token, a key head and the query heads that share it. */
@unmanaged
class Item {
  op: usize;
  sequence: i32;
  /** Whether it is the first of its sequence in the step: then no cache holds the pages yet. */
  isFirst: bool;
  head: i32;
  /** How many query heads. */
  group: i32;
  /** f32 `[group, dim]`, scaled; `[group, dims]`: weighted values; `[group, span]`; `[group, 2]`: top, sum. */
  query: usize;
  mixed: usize;
  weights: usize;
  state: usize;
  /** f32: a strip of the keys or values of a page that are stored as integers. */
  widened: usize;
  /** Bytes of a row of each of these. */
  queryRow: usize;
  mixedRow: usize;
  weightsRow: usize;
}

export function planAttend(op: usize): i32 {
  return liveRows(op) * word(op, Word.B);
}

/**
 * Attend: one token and key head, all query heads that share it. Words beside those of the cache: `X` qkv, `Out`,
 * `A` heads, `U` window.
 */
export function attend(op: usize, index: i32, thread: i32): void {
  const kvHeads = word(op, Word.B), token = index / kvHeads;
  const item = changetype<Item>(scratch(thread));
  begin(item, op, token, index % kvHeads);
  const position = positionOf(op, token, i32.MAX_VALUE), window = word(op, Word.U);
  const size = word(op, Word.C), pages = max(1, SPAN / roundToStrip(size));
  for (let from = window > 0 ? max(0, position + 1 - window) : 0; from <= position;) {
    const end = min(position + 1, (from / size + pages) * size);
    attendSpan(item, from, end);
    from = end;
  }
  deliver(item, token);
}

function begin(item: Item, op: usize, token: i32, head: i32): void {
  const dim = word(op, Word.K), dims = roundToStrip(dim), slots = roundToStrip(word(op, Word.C));
  const group = word(op, Word.A) / word(op, Word.B);
  item.op = op;
  item.sequence = sequenceOf(op, token);
  item.isFirst = token == 0 || sequenceOf(op, token - 1) != item.sequence;
  item.head = head;
  item.group = group;
  item.queryRow = <usize>dim << 2;
  item.mixedRow = <usize>dims << 2;
  item.weightsRow = <usize>(max(1, SPAN / slots) * slots) << 2;
  item.query = changetype<usize>(item) + 64;
  item.mixed = item.query + <usize>group * item.queryRow;
  item.weights = item.mixed + <usize>group * item.mixedRow;
  item.state = item.weights + <usize>group * item.weightsRow;
  item.widened = item.state + (<usize>group << 3);
  scaleQuery(item, rowOf(op, Word.X, token, head, word(op, Word.A) + 2 * word(op, Word.B)));
  memory.fill(item.mixed, 0, <usize>group * item.mixedRow);
  for (let h = 0; h < group; h++) {
    store<f32>(item.state + (<usize>h << 3), -1e30);
    store<f32>(item.state + (<usize>h << 3), 0, 4);
  }
}

/** The rows of an item's heads in a tensor of `heads` heads a token. */
@inline
function rowOf(op: usize, field: Word, token: i32, head: i32, heads: i32): usize {
  const first = token * heads + head * (word(op, Word.A) / word(op, Word.B));
  return address(op, field) + ((<usize>first * <usize>word(op, Word.K)) << 2);
}

/** f16 is widened to 2^-112 of its value: 2^64 of that is made good before a product, the rest after. */
@inline
function before(op: usize): i32 {
  return word(op, Word.Flags) == Stored.F16 ? 64 : 0;
}

@inline
function after(op: usize): f32 {
  return word(op, Word.Flags) == Stored.F16 ? powerOf2(48) : 1.0;
}

/** How a tile finds keys and values: integers are widened before. */
@inline
function tileDtype(op: usize): i32 {
  return isScaled(op) ? Stored.F32 : word(op, Word.Flags);
}

function scaleQuery(item: Item, from: usize): void {
  const scale = <f32>(1.0 / Math.sqrt(<f64>word(item.op, Word.K))) * powerOf2(before(item.op));
  const to = item.query;
  for (let i: usize = 0; i < <usize>item.group * item.queryRow; i += 4) {
    store<f32>(to + i, load<f32>(from + i) * scale);
  }
}

/** Positions `from` to `end`, which lie in the pages of one span. */
function attendSpan(item: Item, from: i32, end: i32): void {
  const op = item.op, size = word(op, Word.C), slots = roundToStrip(size);
  const firstPage = from / size, pages = (end - 1) / size + 1 - firstPage;
  for (let p = 0; p < pages && item.isFirst; p++) {
    touch(pageBlock(item, (firstPage + p) * size), blockBytes(op), item.weights);
  }
  memory.fill(item.weights, 0, <usize>item.group * item.weightsRow);
  for (let p = 0; p < pages; p++) {
    const start = (firstPage + p) * size;
    const row = item.weights + (<usize>(p * slots) << 2);
    score(item, pageBlock(item, start), row);
    hide(item, row, 0, max(0, from - start));
    hide(item, row, min(size, end - start), slots);
  }
  for (let h = 0; h < item.group; h++) soften(item, h, pages * slots);
  for (let p = 0; p < pages; p++) {
    const start = (firstPage + p) * size;
    const row = item.weights + (<usize>(p * slots) << 2);
    mix(item, pageBlock(item, start), row, max(0, from - start), min(size, end - start));
  }
}

@inline
function pageBlock(item: Item, position: i32): usize {
  return blockOf(item.op, pageOf(item.op, item.sequence, position), item.head);
}

/** Scores of a page's slots, to the `row` of each head. */
function score(item: Item, block: usize, row: usize): void {
  const op = item.op, dim = word(op, Word.K), size = word(op, Word.C), width = <usize>cacheWidth(op);
  const strip = stripOf(size), slots = roundToStrip(size);
  for (let s = 0; s < slots; s += strip) {
    const keys = isScaled(op) ? item.widened : block + (<usize>(s * dim) << width);
    if (isScaled(op)) widenKeys(op, block, s, keys);
    for (let h = 0; h < item.group; h += HEADS) {
      const heads = min(HEADS, item.group - h), query = item.query + <usize>h * item.queryRow;
      const to = row + <usize>h * item.weightsRow + (<usize>s << 2);
      runCacheTile(tileDtype(op), strip >> 3, heads, keys, query, item.queryRow, dim, to, item.weightsRow);
    }
  }
}

/** Keeps slots out of the softmax. */
function hide(item: Item, row: usize, from: i32, to: i32): void {
  for (let h = 0; h < item.group; h++) {
    for (let s = from; s < to; s++) store<f32>(row + (<usize>s << 2), -Infinity);
    row += item.weightsRow;
  }
}

/** Turns the `count` scores of a head into weights, rescales what it has mixed so far. */
function soften(item: Item, h: i32, count: i32): void {
  const weights = item.weights + <usize>h * item.weightsRow, unit = after(item.op);
  const state = item.state + (<usize>h << 3), old = load<f32>(state);
  let highest = f32x4.splat(-Infinity);
  for (let at = weights; at < weights + (<usize>count << 2); at += 16) {
    highest = f32x4.max(highest, v128.load(at));
  }
  const top = max(old, max4(highest) * unit), keep = exp1(old - top);
  const sum = expRow(weights, weights, count, unit, -top, before(item.op));
  store<f32>(state, top);
  store<f32>(state, load<f32>(state, 4) * keep + sum, 4);
  const mixed = item.mixed + <usize>h * item.mixedRow, keeps = f32x4.splat(keep);
  for (let at = mixed; at < mixed + item.mixedRow; at += 16) v128.store(at, f32x4.mul(v128.load(at), keeps));
}

/** Adds the weighted values of slots `from` to `end` of a page. */
function mix(item: Item, block: usize, row: usize, from: i32, end: i32): void {
  const op = item.op, dim = word(op, Word.K), width = <usize>cacheWidth(op);
  const strip = stripOf(dim), slots = roundToStrip(word(op, Word.C));
  const values = block + (<usize>(slots * dim + from * strip) << width);
  for (let d = 0; d < dim; d += strip) {
    const at = isScaled(op) ? item.widened : values + (<usize>(d * slots) << width);
    if (isScaled(op)) widenValues(op, block, d, from, end, at);
    for (let h = 0; h < item.group; h += HEADS) {
      const heads = min(HEADS, item.group - h), to = item.mixed + <usize>h * item.mixedRow + (<usize>d << 2);
      const weights = row + <usize>h * item.weightsRow + (<usize>from << 2);
      runCacheTile(tileDtype(op), strip >> 3, heads, at, weights, item.weightsRow, end - from, to, item.mixedRow);
    }
  }
}

function deliver(item: Item, token: i32): void {
  const op = item.op, dim = word(op, Word.K);
  let out = rowOf(op, Word.Out, token, item.head, word(op, Word.A)), mixed = item.mixed;
  for (let h = 0; h < item.group; h++) {
    const scale = after(op) * powerOf2(before(op)) / load<f32>(item.state + (<usize>h << 3), 4);
    for (let d: usize = 0; d < <usize>dim; d++) {
      store<f32>(out + (d << 2), load<f32>(mixed + (d << 2)) * scale);
    }
    out += item.queryRow;
    mixed += item.mixedRow;
  }
}
