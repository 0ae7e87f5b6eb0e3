/**
 * Products of quantised activations with quantised weights: integers inside a block, one chain of float
 * additions over the blocks, so that a token's result depends on nothing else.
 */
import { Weight, Word } from "../opcodes";
import { activateRow } from "./elementwise";
import { groupAt, typicalRows } from "./experts";
import { finish } from "./matmul";
import { quantiseRow, quantTileCount, quantTileStart, tokenBytes } from "./quant_pack";
import { runQuantTile } from "./quant_tiles";
import { panelBytes } from "./quant_weights";
import { address, ceilDiv, liveRows, scratch, word } from "./vector";

/** Tiles whose activations stay in the cache while a chunk's panels pass over them. */
const TILE_GROUP: i32 = 32;
const CHUNK_MADDS: i32 = 131072;

/** Panels `from` to `to` times the tiles `firstTile` to `lastTile` of the packed `x`. */
function panels(
  matrix: usize, stored: i32, n: i32, k: i32, x: usize, rows: i32,
  out: usize, width: i32, bias: usize, add: bool,
  from: i32, to: i32, firstTile: i32, lastTile: i32, sink: usize,
): void {
  const bytes = panelBytes(stored, k), stride = <usize>width << 2, token = tokenBytes(stored, k);
  for (let p = from; p < to; p++) {
    const left = min(n - (p << 3), 8), column = <usize>p << 5;
    for (let t = firstTile; t < lastTile; t++) {
      const first = quantTileStart(rows, t), tokens = quantTileStart(rows, t + 1) - first;
      runQuantTile(stored, tokens, matrix + <usize>p * bytes, x + <usize>first * token, k, sink);
      for (let i = 0; i < tokens; i++) {
        const at = out + <usize>(first + i) * stride + column;
        finish(sink + (<usize>i << 5), 1.0, at, bias ? bias + column : 0, add, left);
      }
    }
  }
}

@inline
function panelCount(n: i32): i32 {
  return (n + 7) >> 3;
}

/** Panels of a chunk, so that a chunk is worth claiming. */
function chunkPanels(k: i32, rows: i32): i32 {
  return max(1, CHUNK_MADDS / ((k << 3) * max(1, min(rows, 4 * TILE_GROUP))));
}

/** QuantMatmul: `Out` rows of `Width` = packed `X` times `Weight`; `Bias`; `Flags` 1 adds to `Out`. */
export function planQuantMatmul(op: usize): i32 {
  const rows = liveRows(op);
  if (rows == 0) return 0;
  const chunks = ceilDiv(panelCount(word(op, Word.N)), chunkPanels(word(op, Word.K), rows));
  return chunks * ceilDiv(quantTileCount(rows), TILE_GROUP);
}

export function quantMatmul(op: usize, chunk: i32, thread: i32): void {
  const rows = liveRows(op), n = word(op, Word.N), k = word(op, Word.K);
  const weight = address(op, Word.Weight);
  const perChunk = chunkPanels(k, rows), tiles = quantTileCount(rows);
  const groups = ceilDiv(tiles, TILE_GROUP);
  const from = (chunk / groups) * perChunk, firstTile = (chunk % groups) * TILE_GROUP;
  panels(
    address(weight, Weight.Data), word(weight, Weight.Stored), n, k, address(op, Word.X), rows,
    address(op, Word.Out), word(op, Word.Width), address(op, Word.Bias), word(op, Word.Flags) != 0,
    from, min(panelCount(n), from + perChunk),
    firstTile, min(tiles, firstTile + TILE_GROUP), scratch(thread),
  );
}

/** QuantGroupPack: rows `tokenOf[entry]` (`R`) of `X` (`K` floats) to `Out` in tiles, for `Weight`. */
export function quantGroupPack(op: usize, index: i32): void {
  const group = groupAt(address(op, Word.P), index);
  const stored = word(address(op, Word.Weight), Weight.Stored), k = word(op, Word.K);
  const entry = load<i32>(group, 4), rows = load<i32>(group, 8);
  for (let t = 0; t < quantTileCount(rows); t++) {
    const first = quantTileStart(rows, t), tokens = quantTileStart(rows, t + 1) - first;
    const to = address(op, Word.Out) + <usize>(entry + first) * tokenBytes(stored, k);
    for (let i = 0; i < tokens; i++) {
      const token = load<i32>(address(op, Word.R) + (<usize>(entry + first + i) << 2));
      const x = address(op, Word.X) + ((<usize>token * <usize>k) << 2);
      quantiseRow(stored, x, k, to, tokens, i);
    }
  }
}

/** QuantGroupActivate: `X` entries of `2 K` floats (gate, up), gated, to `Out` in tiles, for `Weight`. */
export function quantGroupActivate(op: usize, index: i32, thread: i32): void {
  const group = groupAt(address(op, Word.P), index);
  const stored = word(address(op, Word.Weight), Weight.Stored), k = word(op, Word.K);
  const entry = load<i32>(group, 4), rows = load<i32>(group, 8);
  const gated = scratch(thread);
  for (let t = 0; t < quantTileCount(rows); t++) {
    const first = quantTileStart(rows, t), tokens = quantTileStart(rows, t + 1) - first;
    const to = address(op, Word.Out) + <usize>(entry + first) * tokenBytes(stored, k);
    for (let i = 0; i < tokens; i++) {
      const gate = address(op, Word.X) + ((<usize>(entry + first + i) * <usize>k) << 3);
      activateRow(gated, gate, gate + (<usize>k << 2), k);
      quantiseRow(stored, gated, k, to, tokens, i);
    }
  }
}

/** QuantGroupMatmul: packed `X` entries times their expert's matrix of `Weight` to `Out` entries. */
export function planQuantGroupMatmul(op: usize): i32 {
  const table = address(op, Word.P);
  const groups = load<i32>(table);
  return groups == 0 ? 0 : groups * groupParts(op, typicalRows(table));
}

function groupParts(op: usize, rows: i32): i32 {
  return ceilDiv(panelCount(word(op, Word.N)), chunkPanels(word(op, Word.K), rows));
}

export function quantGroupMatmul(op: usize, chunk: i32, thread: i32): void {
  const table = address(op, Word.P), typical = typicalRows(table);
  const parts = groupParts(op, typical);
  const group = groupAt(table, chunk / parts);
  const n = word(op, Word.N), k = word(op, Word.K), weight = address(op, Word.Weight);
  const stored = word(weight, Weight.Stored), perChunk = chunkPanels(k, typical);
  const from = (chunk % parts) * perChunk, rows = load<i32>(group, 8);
  const entry = <usize>load<i32>(group, 4);
  panels(
    address(weight, Weight.Data) + <usize>load<i32>(group) * address(weight, Weight.Bytes),
    stored, n, k, address(op, Word.X) + entry * tokenBytes(stored, k), rows,
    address(op, Word.Out) + ((entry * <usize>n) << 2), n, 0, false,
    from, min(panelCount(n), from + perChunk), 0, quantTileCount(rows), scratch(thread),
  );
}
