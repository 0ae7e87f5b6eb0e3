/**
 * Products of activations with packed weights. A weight lies in panels of 8 rows, k-major inside: at each
 * k the 8 rows' elements are neighbours, so that no horizontal sum is ever needed. Each output is one
 * chain of multiply-adds over k, whatever the batch, so that a token's result depends on nothing else.
 */
import { Stored, Weight, Word } from "./opcodes";
import { address, ceilDiv, liveRows, loadTail, madd, scratch, storeTail, word } from "./vector";

/** Most tokens of one register tile: 6 by 8 accumulators fill the 16 vector registers. */
const TILE: i32 = 6;
/** Tiles whose activations stay in the cache while a chunk's panels pass over them. */
const TILE_GROUP: i32 = 16;
const CHUNK_MADDS: i32 = 32768;
const INLINE_PACK: i32 = 8192;

/** Rows 0 to 3 of a 16-bit panel column are the low halves of its 32-bit lanes, rows 4 to 7 the high. */
@inline
function low(stored: i32, raw: v128): v128 {
  if (stored == Stored.F32) return raw;
  if (stored == Stored.BF16) return i32x4.shl(raw, 16);
  return v128.and(i32x4.shr_s(i32x4.shl(raw, 16), 3), i32x4.splat(0x8fffffff));
}

@inline
function high(stored: i32, raw: v128, from: usize): v128 {
  if (stored == Stored.F32) return v128.load(from, 16);
  if (stored == Stored.BF16) return v128.and(raw, i32x4.splat(0xffff0000));
  return v128.and(i32x4.shr_s(raw, 3), i32x4.splat(0x8fffe000));
}

@inline
function columnBytes(stored: i32): usize {
  return stored == Stored.F32 ? 32 : 16;
}

/** One panel times `tokens` (1 to 6) packed activations; `tokens` x 8 results go to `sink`. */
@inline
function tile(tokens: i32, stored: i32, panel: usize, x: usize, k: i32, sink: usize): void {
  let a0 = f32x4.splat(0), b0 = f32x4.splat(0);
  let a1 = f32x4.splat(0), b1 = f32x4.splat(0);
  let a2 = f32x4.splat(0), b2 = f32x4.splat(0);
  let a3 = f32x4.splat(0), b3 = f32x4.splat(0);
  let a4 = f32x4.splat(0), b4 = f32x4.splat(0);
  let a5 = f32x4.splat(0), b5 = f32x4.splat(0);
  const end = panel + <usize>k * columnBytes(stored);
  while (panel < end) {
    const raw = v128.load(panel);
    const lo = low(stored, raw);
    const hi = high(stored, raw, panel);
    let s = v128.load32_splat(x);
    a0 = madd(s, lo, a0);
    b0 = madd(s, hi, b0);
    if (tokens > 1) {
      s = v128.load32_splat(x, 4);
      a1 = madd(s, lo, a1);
      b1 = madd(s, hi, b1);
    }
    if (tokens > 2) {
      s = v128.load32_splat(x, 8);
      a2 = madd(s, lo, a2);
      b2 = madd(s, hi, b2);
    }
    if (tokens > 3) {
      s = v128.load32_splat(x, 12);
      a3 = madd(s, lo, a3);
      b3 = madd(s, hi, b3);
    }
    if (tokens > 4) {
      s = v128.load32_splat(x, 16);
      a4 = madd(s, lo, a4);
      b4 = madd(s, hi, b4);
    }
    if (tokens > 5) {
      s = v128.load32_splat(x, 20);
      a5 = madd(s, lo, a5);
      b5 = madd(s, hi, b5);
    }
    panel += columnBytes(stored);
    x += <usize>tokens << 2;
  }
  v128.store(sink, a0);
  v128.store(sink, b0, 16);
  if (tokens > 1) {
    v128.store(sink, a1, 32);
    v128.store(sink, b1, 48);
  }
  if (tokens > 2) {
    v128.store(sink, a2, 64);
    v128.store(sink, b2, 80);
  }
  if (tokens > 3) {
    v128.store(sink, a3, 96);
    v128.store(sink, b3, 112);
  }
  if (tokens > 4) {
    v128.store(sink, a4, 128);
    v128.store(sink, b4, 144);
  }
  if (tokens > 5) {
    v128.store(sink, a5, 160);
    v128.store(sink, b5, 176);
  }
}

/** Four neighbouring panels times one token: 32 results go to `sink`. */
@inline
function row4(stored: i32, panel: usize, bytes: usize, x: usize, k: i32, sink: usize): void {
  let a0 = f32x4.splat(0), b0 = f32x4.splat(0);
  let a1 = f32x4.splat(0), b1 = f32x4.splat(0);
  let a2 = f32x4.splat(0), b2 = f32x4.splat(0);
  let a3 = f32x4.splat(0), b3 = f32x4.splat(0);
  const end = panel + <usize>k * columnBytes(stored);
  const second = panel + bytes, third = second + bytes, fourth = third + bytes;
  let at: usize = 0;
  const length = end - panel;
  while (at < length) {
    const s = v128.load32_splat(x);
    let raw = v128.load(panel + at);
    a0 = madd(s, low(stored, raw), a0);
    b0 = madd(s, high(stored, raw, panel + at), b0);
    raw = v128.load(second + at);
    a1 = madd(s, low(stored, raw), a1);
    b1 = madd(s, high(stored, raw, second + at), b1);
    raw = v128.load(third + at);
    a2 = madd(s, low(stored, raw), a2);
    b2 = madd(s, high(stored, raw, third + at), b2);
    raw = v128.load(fourth + at);
    a3 = madd(s, low(stored, raw), a3);
    b3 = madd(s, high(stored, raw, fourth + at), b3);
    at += columnBytes(stored);
    x += 4;
  }
  v128.store(sink, a0);
  v128.store(sink, b0, 16);
  v128.store(sink, a1, 32);
  v128.store(sink, b1, 48);
  v128.store(sink, a2, 64);
  v128.store(sink, b2, 80);
  v128.store(sink, a3, 96);
  v128.store(sink, b3, 112);
}

@inline
function anyTile(stored: i32, tokens: i32, panel: usize, x: usize, k: i32, sink: usize): void {
  switch (tokens) {
    case 1:
      return tile(1, stored, panel, x, k, sink);
    case 2:
      return tile(2, stored, panel, x, k, sink);
    case 3:
      return tile(3, stored, panel, x, k, sink);
    case 4:
      return tile(4, stored, panel, x, k, sink);
    case 5:
      return tile(5, stored, panel, x, k, sink);
    default:
      return tile(6, stored, panel, x, k, sink);
  }
}

function tileF32(tokens: i32, panel: usize, x: usize, k: i32, sink: usize): void {
  anyTile(Stored.F32, tokens, panel, x, k, sink);
}

function tileF16(tokens: i32, panel: usize, x: usize, k: i32, sink: usize): void {
  anyTile(Stored.F16, tokens, panel, x, k, sink);
}

function tileBF16(tokens: i32, panel: usize, x: usize, k: i32, sink: usize): void {
  anyTile(Stored.BF16, tokens, panel, x, k, sink);
}

function row4F32(panel: usize, bytes: usize, x: usize, k: i32, sink: usize): void {
  row4(Stored.F32, panel, bytes, x, k, sink);
}

function row4F16(panel: usize, bytes: usize, x: usize, k: i32, sink: usize): void {
  row4(Stored.F16, panel, bytes, x, k, sink);
}

function row4BF16(panel: usize, bytes: usize, x: usize, k: i32, sink: usize): void {
  row4(Stored.BF16, panel, bytes, x, k, sink);
}

/** Scales `count` (1 to 8) results of `sink`, adds bias and the former output where asked, stores. */
function finish(sink: usize, scale: f32, out: usize, bias: usize, add: bool, count: i32): void {
  for (; count > 0; count -= 4) {
    let v = f32x4.mul(v128.load(sink), f32x4.splat(scale));
    if (count >= 4) {
      if (bias) v = f32x4.add(v, v128.load(bias));
      if (add) v = f32x4.add(v, v128.load(out));
      v128.store(out, v);
    } else {
      if (bias) v = f32x4.add(v, loadTail(bias, count));
      if (add) v = f32x4.add(v, loadTail(out, count));
      storeTail(out, v, count);
    }
    sink += 16;
    out += 16;
    if (bias) bias += 16;
  }
}

/** First token of tile `index` when `rows` tokens are spread evenly over `tiles`. */
@inline
export function tileStart(rows: i32, tiles: i32, index: i32): i32 {
  return index * (rows / tiles) + min(index, rows % tiles);
}

@inline
export function tileCount(rows: i32): i32 {
  return ceilDiv(rows, TILE);
}


/** Panels `from` to `to` times the tiles `firstTile` to `lastTile` of the packed `x`. */
function panels(
  matrix: usize, stored: i32, n: i32, k: i32, scale: f32,
  x: usize, rows: i32, out: usize, bias: usize, add: bool,
  from: i32, to: i32, firstTile: i32, lastTile: i32, sink: usize,
): void {
  const bytes = <usize>k * columnBytes(stored);
  const stride = <usize>n << 2;
  const tiles = tileCount(rows);
  let p = from;
  if (rows == 1) {
    for (; p + 4 <= to; p += 4) {
      const panel = matrix + <usize>p * bytes;
      if (stored == Stored.F16) row4F16(panel, bytes, x, k, sink);
      else if (stored == Stored.F32) row4F32(panel, bytes, x, k, sink);
      else row4BF16(panel, bytes, x, k, sink);
      const column = <usize>p << 5;
      for (let i = 0; i < 4; i++) {
        const at = column + (<usize>i << 5);
        const left = n - ((p + i) << 3);
        finish(sink + (<usize>i << 5), scale, out + at, bias ? bias + at : 0, add, min(left, 8));
      }
    }
  }
  for (; p < to; p++) {
    const panel = matrix + <usize>p * bytes;
    const column = <usize>p << 5;
    const left = min(n - (p << 3), 8);
    for (let t = firstTile; t < lastTile; t++) {
      const first = tileStart(rows, tiles, t);
      const tokens = tileStart(rows, tiles, t + 1) - first;
      const packed = x + ((<usize>first * <usize>k) << 2);
      if (stored == Stored.F16) tileF16(tokens, panel, packed, k, sink);
      else if (stored == Stored.F32) tileF32(tokens, panel, packed, k, sink);
      else tileBF16(tokens, panel, packed, k, sink);
      for (let i = 0; i < tokens; i++) {
        const at = out + <usize>(first + i) * stride + column;
        finish(sink + (<usize>i << 5), scale, at, bias ? bias + column : 0, add, left);
      }
    }
  }
}

/** Panels of a chunk, so that a chunk is worth claiming; a multiple of 4 for single rows. */
function chunkPanels(k: i32, rows: i32): i32 {
  const count = CHUNK_MADDS / max(1, (k << 3) * min(rows, TILE * TILE_GROUP));
  return rows == 1 ? max(4, count & ~3) : max(1, count);
}

@inline
function panelCount(n: i32): i32 {
  return (n + 7) >> 3;
}

/** Writes rows of `x` in tile order, scaled: tiles one after the other, `[k][tokens]` inside each. */
export function packTile(x: usize, tokens: i32, k: i32, scale: f32, to: usize): void {
  const stride = <usize>tokens << 2;
  for (let t = 0; t < tokens; t++) {
    const row = x + ((<usize>t * <usize>k) << 2);
    let at = to + (<usize>t << 2);
    for (let i = 0; i < k; i++) {
      store<f32>(at, load<f32>(row + (<usize>i << 2)) * scale);
      at += stride;
    }
  }
}

function packRows(op: usize, rows: i32, from: i32, to: i32): void {
  const k = word(op, Word.K);
  const scale = load<f32>(address(op, Word.Weight) + Weight.InScale * 4);
  const tiles = tileCount(rows);
  for (let t = from; t < to; t++) {
    const first = tileStart(rows, tiles, t);
    const tokens = tileStart(rows, tiles, t + 1) - first;
    const offset = (<usize>first * <usize>k) << 2;
    packTile(address(op, Word.X) + offset, tokens, k, scale, address(op, Word.Out) + offset);
  }
}

/** Pack: `X` rows of `K` floats to `Out`, for `Weight`. Small ones are done at once, by one thread. */
export function planPack(op: usize): i32 {
  const rows = liveRows(op);
  if (rows == 0 || direct(op, rows)) return 0;
  const tiles = tileCount(rows);
  if (rows * word(op, Word.K) > INLINE_PACK) return tiles;
  packRows(op, rows, 0, tiles);
  return 0;
}

export function pack(op: usize, chunk: i32): void {
  packRows(op, liveRows(op), chunk, chunk + 1);
}

/** Whether a single row can be used as it lies. */
@inline
function direct(op: usize, rows: i32): bool {
  return rows == 1 && load<f32>(address(op, Word.Weight) + Weight.InScale * 4) == 1.0;
}

/** Matmul: `Out` = packed `P` (or the single row `X`) times `Weight`; `Bias`; `Flags` 1 adds to `Out`. */
export function planMatmul(op: usize): i32 {
  const rows = liveRows(op);
  if (rows == 0) return 0;
  const perChunk = chunkPanels(word(op, Word.K), rows);
  return ceilDiv(panelCount(word(op, Word.N)), perChunk) * ceilDiv(tileCount(rows), TILE_GROUP);
}

export function matmul(op: usize, chunk: i32, thread: i32): void {
  const rows = liveRows(op);
  const n = word(op, Word.N), k = word(op, Word.K);
  const weight = address(op, Word.Weight);
  const perChunk = chunkPanels(k, rows);
  const tiles = tileCount(rows);
  const groups = ceilDiv(tiles, TILE_GROUP);
  const from = (chunk / groups) * perChunk;
  const firstTile = (chunk % groups) * TILE_GROUP;
  panels(
    address(weight, Weight.Data), word(weight, Weight.Stored), n, k,
    load<f32>(weight + Weight.OutScale * 4),
    direct(op, rows) ? address(op, Word.X) : address(op, Word.P), rows,
    address(op, Word.Out), address(op, Word.Bias), word(op, Word.Flags) != 0,
    from, min(panelCount(n), from + perChunk), firstTile, min(tiles, firstTile + TILE_GROUP),
    scratch(thread),
  );
}

/** Chunks of a grouped product: each active matrix is cut into the same number of chunks. */
export function groupChunks(op: usize, rows: i32): i32 {
  return ceilDiv(panelCount(word(op, Word.N)), chunkPanels(word(op, Word.K), rows));
}

/** Part `part` of matrix `index` of the op's weight times its `rows` packed rows from row `first` on. */
export function groupPart(
  op: usize, index: i32, first: i32, rows: i32, typical: i32, part: i32, thread: i32,
): void {
  const n = word(op, Word.N), k = word(op, Word.K);
  const weight = address(op, Word.Weight);
  const perChunk = chunkPanels(k, typical);
  const from = part * perChunk;
  panels(
    address(weight, Weight.Data) + <usize>index * address(weight, Weight.Bytes),
    word(weight, Weight.Stored), n, k, load<f32>(weight + Weight.OutScale * 4),
    address(op, Word.X) + ((<usize>first * <usize>k) << 2), rows,
    address(op, Word.Out) + ((<usize>first * <usize>n) << 2), 0, false,
    from, min(panelCount(n), from + perChunk), 0, tileCount(rows), scratch(thread),
  );
}
