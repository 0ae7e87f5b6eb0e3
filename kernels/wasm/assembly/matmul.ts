/**
 * Products of activations with packed weights. A weight lies in panels of 8 rows, k-major inside: at each
 * k the 8 rows' elements are neighbours, so that no horizontal sum is ever needed. Each output is one
 * chain of multiply-adds over k, whatever the batch, so that a token's result depends on nothing else.
 */
import { Stored, Weight, Word } from "../opcodes";
import { runTile, widenPanel } from "./tiles";
import { address, ceilDiv, liveRows, loadTail, scratch, storeTail, word } from "./vector";

/** Most tokens of one register tile: 6 by 8 accumulators fill the 16 vector registers. */
const TILE: i32 = 6;
/** Tiles whose activations stay in the cache while a chunk's panels pass over them. */
const TILE_GROUP: i32 = 16;
const CHUNK_MADDS: i32 = 32768;
const INLINE_PACK: i32 = 8192;
/** From so many tiles on, an f16 panel is widened once for all of them. */
const WIDEN_TILES: i32 = 4;
/** Bytes of a thread's scratch memory where a tile puts its results; a widened panel follows. */
const SINK: usize = 512;

@inline
function columnBytes(stored: i32): usize {
  return stored == Stored.F32 ? 32 : 16;
}

/** Panels that a tile of this many tokens takes side by side. */
@inline
function panelsAbreast(tokens: i32): i32 {
  return tokens == 1 ? 4 : tokens <= 3 ? 2 : 1;
}

/**
 * Reads a byte of every cache line. Multiplying leaves too few loads in flight to stream from memory, a
 * burst like this does not; the tile then finds its panel in the cache. The sink keeps the reads alive.
 */
function touch(from: usize, bytes: usize, sink: usize): void {
  let all = 0;
  for (let i: usize = 0; i < bytes; i += 256) {
    all |= load<i32>(from + i) | load<i32>(from + i, 64) | load<i32>(from + i, 128) | load<i32>(from + i, 192);
  }
  store<i32>(sink, all);
}

/** Scales `count` (1 to 8) results of `sink`, adds bias and the former output where asked, stores. */
export function finish(sink: usize, scale: f32, out: usize, bias: usize, add: bool, count: i32): void {
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
  x: usize, rows: i32, out: usize, width: i32, bias: usize, add: bool,
  from: i32, to: i32, firstTile: i32, lastTile: i32, sink: usize,
): void {
  const bytes = <usize>k * columnBytes(stored);
  const stride = <usize>width << 2;
  const tiles = tileCount(rows);
  for (let p = from; p < to;) {
    const abreast = panelsAbreast(rows);
    const count = p + abreast <= to ? abreast : 1;
    let panel = matrix + <usize>p * bytes, form = stored;
    if (rows > 1) touch(panel, bytes * <usize>count, sink);
    if (stored == Stored.F16 && lastTile - firstTile >= WIDEN_TILES) {
      widenPanel(panel, k, sink + SINK);
      panel = sink + SINK;
      form = Stored.F32;
    }
    for (let t = firstTile; t < lastTile; t++) {
      const first = tileStart(rows, tiles, t);
      const tokens = tileStart(rows, tiles, t + 1) - first;
      const packed = x + ((<usize>first * <usize>k) << 2);
      runTile(form, tokens * 8 + count, panel, bytes, packed, k, sink);
      let result = sink;
      for (let i = 0; i < count; i++) {
        const left = min(n - ((p + i) << 3), 8), column = <usize>(p + i) << 5;
        for (let j = first; j < first + tokens; j++) {
          finish(result, scale, out + <usize>j * stride + column, bias ? bias + column : 0, add, left);
          result += 32;
        }
      }
    }
    p += count;
  }
}

/** Panels of a chunk, so that a chunk is worth claiming. */
function chunkPanels(k: i32, rows: i32): i32 {
  const count = CHUNK_MADDS / max(1, (k << 3) * min(rows, TILE * TILE_GROUP));
  const abreast = panelsAbreast(rows);
  return max(abreast, count - count % abreast);
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

/** Matmul: `Out` = packed `P` (or the single row `X`) times `Weight`; `Bias`; `Flags` 1 adds to `Out`, whose rows have `Width`. */
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
    address(op, Word.Out), word(op, Word.Width), address(op, Word.Bias), word(op, Word.Flags) != 0,
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
    address(op, Word.Out) + ((<usize>first * <usize>n) << 2), n, 0, false,
    from, min(panelCount(n), from + perChunk), 0, tileCount(rows), scratch(thread),
  );
}
