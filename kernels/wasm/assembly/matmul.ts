/**
 * Products of activations with weights: up to 4 tokens times a strip, up to 2 times a panel. Each output is one
 * chain of additions over k, or over blocks of exact integer sums, whatever the batch, so that a token's
 * result depends on nothing else.
 */
import { Stored, Weight, Word } from "../opcodes";
import {
  isQuantised, PANEL, panelBytes, panelCount, STRIP, stripOffset, TILE, tileBytes, tileCount, tileTokens,
} from "./layout";
import { chunkCount, chunkStart } from "./chunks";
import { isDirect } from "./pack";
import { runFloatTile, runQuantTile, widenPanel } from "./tiles";
import { address, ceilDiv, liveRows, loadTail, number, scratch, storeTail, word } from "./vector";

/** Tokens up to which the accumulators of a whole panel fit in the registers, and of a strip. */
const PANEL_TOKENS: i32 = 2, STRIP_TOKENS: i32 = 4;
/** Tiles whose activations stay in the cache while a chunk's panels pass over them. */
const TILE_GROUP: i32 = 8;
const CHUNK_MADDS: i32 = 32768;
/** Bytes of a thread's scratch memory where a tile puts its results; a widened panel follows. */
const SINK: usize = 512;

/** Scales `count` (1 to 32) results of `sink`, adds bias and the former output where asked, stores. */
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

/** `tokens` of the tile `x` from `slot` on, times strip `strip` of a panel; few take both strips with the first. */
function runPart(
  op: usize, stored: i32, panel: usize, strip: i32, x: usize, slot: i32, tokens: i32, column: i32, out: usize,
  sink: usize,
): void {
  const whole = tokens <= PANEL_TOKENS;
  if (whole && strip == 1) return;
  const weight = address(op, Word.Weight), k = word(op, Word.K);
  const from = x + (<usize>slot << 2);
  panel += <usize>strip * stripOffset(stored);
  column += strip * STRIP;
  if (isQuantised(stored)) runQuantTile(stored, tokens, panel, weight + Weight.Unit * 4, from, k, sink);
  else runFloatTile(stored, tokens, panel, from, k, sink);
  const scale = number(weight, Weight.OutScale), add = word(op, Word.Flags) != 0;
  const rows = whole ? PANEL : STRIP, left = min(word(op, Word.N) - column, rows);
  const offset = <usize>column << 2, width = <usize>word(op, Word.Width) << 2;
  const bias = address(op, Word.Bias);
  for (let t = 0; t < tokens; t++) {
    finish(sink, scale, out + <usize>(slot + t) * width + offset, bias ? bias + offset : 0, add, left);
    sink += <usize>rows << 2;
  }
}

/** Panels `from` to `to` of `matrix` times the tiles `firstTile` to `lastTile` of `rows` packed tokens. */
export function multiply(
  op: usize, matrix: usize, x: usize, rows: i32, out: usize,
  from: i32, to: i32, firstTile: i32, lastTile: i32, thread: i32,
): void {
  const weight = address(op, Word.Weight), stored = word(weight, Weight.Stored), k = word(op, Word.K);
  const bytes = panelBytes(stored, k), tile = tileBytes(stored, k), n = word(op, Word.N);
  const width = <usize>(TILE * word(op, Word.Width)) << 2, sink = scratch(thread);
  const widens = stored == Stored.F16 && lastTile - firstTile > 1;
  const form = widens ? <i32>Stored.F32 : stored;
  for (let p = from; p < to; p++) {
    let panel = matrix + <usize>p * bytes;
    if (widens) {
      widenPanel(panel, k, sink + SINK);
      panel = sink + SINK;
    }
    for (let strip = 0; strip < 2 && p * PANEL + strip * STRIP < n; strip++) {
      for (let t = firstTile; t < lastTile; t++) {
        const tokens = tileTokens(rows, t), first = tokens > STRIP_TOKENS ? (tokens + 1) >> 1 : tokens;
        const from = x + <usize>t * tile, to = out + <usize>t * width;
        runPart(op, form, panel, strip, from, 0, first, p * PANEL, to, sink);
        if (first < tokens) {
          runPart(op, form, panel, strip, from, first, tokens - first, p * PANEL, to, sink);
        }
      }
    }
  }
}

/** Panels of the smallest chunk that is worth claiming. */
export function leastPanels(op: usize, rows: i32): i32 {
  return max(1, CHUNK_MADDS / (word(op, Word.K) * PANEL * max(1, min(rows, TILE * TILE_GROUP))));
}

/**
 * Matmul: `Out` = packed `P` (or the single row `X`) times `Weight`; `Bias`; `Flags` 1 adds to `Out`, whose
 * rows have `Width`. All panels are multiplied with a group of tiles before the next group.
 */
export function planMatmul(op: usize): i32 {
  const rows = liveRows(op);
  if (rows == 0) return 0;
  return ceilDiv(tileCount(rows), TILE_GROUP) * chunkCount(panelCount(word(op, Word.N)), leastPanels(op, rows));
}

export function matmul(op: usize, chunk: i32, thread: i32): void {
  const rows = liveRows(op), weight = address(op, Word.Weight), tiles = tileCount(rows);
  const panels = panelCount(word(op, Word.N)), least = leastPanels(op, rows);
  const chunks = chunkCount(panels, least), firstTile = chunk / chunks * TILE_GROUP;
  multiply(
    op, address(weight, Weight.Data), address(op, isDirect(weight, rows) ? Word.X : Word.P), rows,
    address(op, Word.Out), chunkStart(panels, least, chunk % chunks), chunkStart(panels, least, chunk % chunks + 1),
    firstTile, min(tiles, firstTile + TILE_GROUP), thread,
  );
}
