/**
 * Panels of quantised weights. In a block of 32, two k of a strip's 16 rows lie together (a step of 32 bytes), so
 * that vector lanes are rows. A strip holds for each block (of a super-block, `|` before its blocks):
 *   Q8_0  16 f16 scales, 16 steps of bytes
 *   Q4_0  16 f16 scales, 8 steps: k 0 to 15 in low nibbles, 16 to 31 in high ones
 *   Q4_K  16 f16 scales, 16 f16 minima | 16 byte scales, 16 byte minima, nibbles as above
 *   Q6_K  16 f16 scales | 16 scales of k 0 to 15, 16 of 16 to 31, nibbles as above, 4 steps of bit pairs
 */
import { Stored, Weight } from "../opcodes";
import { scaleHalf, widenHalf } from "./half";
import { blockElements, packedBytes, PANEL, panelBytes, storedBytes, STRIP } from "./layout";
import { word } from "./vector";

/** Bytes of the blocks of 32 of a super-block in a strip, after its own scales. */
const Q4_K_TOP: usize = 64, Q4_K_PART: usize = 288, Q6_K_TOP: usize = 32, Q6_K_PART: usize = 416;
/** Bytes of byte scales, and where the bit pairs of a part begin. */
const SCALES: usize = 32, PAIRS: usize = 288;

/** Address of byte `offset` of the strip of row `r`. */
@inline
function inStrip(panel: usize, r: usize, offset: usize): usize {
  return panel + ((r & 16) << 1) + ((offset >> 5) << 6) + (offset & 31);
}

/** Where the byte scales of row `r` lie that begin at `offset` of its strip. */
@inline
function byteOf(block: usize, r: usize, offset: usize): usize {
  return inStrip(block, r, offset + (r & <usize>(STRIP - 1)));
}

/** The same of f16 scales. */
@inline
function halfOf(block: usize, r: usize, offset: usize): usize {
  return inStrip(block, r, offset + ((r & <usize>(STRIP - 1)) << 1));
}

/** Element `i` of the steps that begin at `offset`. */
@inline
function inSteps(block: usize, r: usize, offset: usize, i: usize): usize {
  return halfOf(block, r, offset + ((i >> 1) << 5)) + (i & 1);
}

/** Packs the rows at `from` to `to`; f16 scales times `factor`. */
export function packQuantPanel(stored: i32, from: usize, to: usize, k: i32, factor: f32): void {
  memory.fill(to, 0, panelBytes(stored, k));
  const blocks = k / blockElements(stored), size = packedBytes(stored) * <usize>PANEL;
  for (let r: usize = 0; r < <usize>PANEL; r++) {
    for (let b = 0; b < blocks; b++) {
      packBlock(stored, from, to + <usize>b * size, r, factor);
      from += storedBytes(stored);
    }
  }
}

function packBlock(stored: i32, from: usize, to: usize, r: usize, factor: f32): void {
  const scale = from + (stored == Stored.Q6_K ? 208 : 0);
  store<u16>(halfOf(to, r, 0), scaleHalf(<u32>load<u16>(scale), factor));
  if (stored == Stored.Q8_0) packQ8_0(from + 2, to, r);
  else if (stored == Stored.Q4_0) packQ4_0(from + 2, to, r);
  else if (stored == Stored.Q4_K) {
    store<u16>(halfOf(to, r, 32), scaleHalf(<u32>load<u16>(from, 2), factor));
    packQ4K(from, to, r);
  } else packQ6K(from, to, r);
}

function packQ8_0(from: usize, to: usize, r: usize): void {
  for (let i: usize = 0; i < 32; i++) store<i8>(inSteps(to, r, SCALES, i), load<i8>(from + i));
}

function packQ4_0(from: usize, to: usize, r: usize): void {
  for (let i: usize = 0; i < 16; i++) store<u8>(inSteps(to, r, SCALES, i), load<u8>(from + i));
}

/** Element `i` of 32 of a part: the stored low nibbles are one part, the high ones the next. */
function packQ4K(from: usize, to: usize, r: usize): void {
  for (let part: usize = 0; part < 8; part++) {
    const at = Q4_K_TOP + part * Q4_K_PART;
    store<u8>(byteOf(to, r, at), scaleOf(from + 4, part));
    store<u8>(byteOf(to, r, at + 16), minimumOf(from + 4, part));
    const source = from + 16 + (part >> 1) * 32;
    const shift = <u8>((part & 1) << 2);
    for (let i: usize = 0; i < 16; i++) {
      const low = (load<u8>(source + i) >> shift) & 15, high = (load<u8>(source + i + 16) >> shift) & 15;
      store<u8>(inSteps(to, r, at + SCALES, i), low | (high << 4));
    }
  }
}

function scaleOf(at: usize, part: usize): u8 {
  if (part < 4) return load<u8>(at + part) & 63;
  return (load<u8>(at + part + 4) & 15) | ((load<u8>(at + part - 4) >> 6) << 4);
}

function minimumOf(at: usize, part: usize): u8 {
  if (part < 4) return load<u8>(at + part + 4) & 63;
  return (load<u8>(at + part + 4) >> 4) | ((load<u8>(at + part) >> 6) << 4);
}

/** A byte of bit pairs: those of an element of a step of nibbles, low and high, then those of the next step. */
function packQ6K(from: usize, to: usize, r: usize): void {
  for (let part: usize = 0; part < 8; part++) {
    const at = Q6_K_TOP + part * Q6_K_PART;
    store<u8>(byteOf(to, r, at), load<u8>(from + 192 + part * 2));
    store<u8>(byteOf(to, r, at + 16), load<u8>(from + 193 + part * 2));
    for (let i: usize = 0; i < 16; i++) {
      const low = sixBits(from, part * 32 + i), high = sixBits(from, part * 32 + i + 16);
      store<u8>(inSteps(to, r, at + SCALES, i), (low & 15) | (high << 4));
      const pairs = inSteps(to, r, at + PAIRS, pairIndex(i)), shift = pairShift(i);
      store<u8>(pairs, load<u8>(pairs) | ((low >> 4) << shift) | ((high >> 4) << (shift + 2)));
    }
  }
}

/** Which byte of bit pairs holds those of element `i` (below 16), and how far up. */
@inline
function pairIndex(i: usize): usize {
  return ((i >> 2) << 1) | (i & 1);
}

@inline
function pairShift(i: usize): u8 {
  return <u8>((i & 2) << 1);
}

/** Element `i` of a stored Q6_K block, 0 to 63. */
function sixBits(from: usize, i: usize): u8 {
  const side = i >> 7, part = (i >> 5) & 3, column = i & 31;
  const low = (load<u8>(from + side * 64 + (part & 1) * 32 + column) >> <u8>((part >> 1) << 2)) & 15;
  return low | (((load<u8>(from + 128 + side * 32 + column) >> <u8>(part << 1)) & 3) << 4);
}

/** Copies row `index` of a packed matrix to `out` as float32. */
export function unpackQuantRow(weight: usize, matrix: usize, index: i32, out: usize): void {
  const stored = word(weight, Weight.Stored), k = word(weight, Weight.K);
  const panel = matrix + <usize>(index / PANEL) * panelBytes(stored, k);
  const unit = load<f32>(weight + Weight.Unit * 4);
  for (let i = 0; i < k; i++) {
    store<f32>(out + (<usize>i << 2), element(stored, panel, <usize>(index % PANEL), i, unit));
  }
}

function element(stored: i32, panel: usize, r: usize, i: i32, unit: f32): f32 {
  const block = panel + <usize>(i / blockElements(stored)) * packedBytes(stored) * <usize>PANEL;
  const scale = widenHalf(<u32>load<u16>(halfOf(block, r, 0))) * unit;
  const at = <usize>i & 31, part = <usize>(i & 255) >> 5;
  if (stored == Stored.Q8_0) return scale * <f32>load<i8>(inSteps(block, r, SCALES, at));
  const high = at >> 4, near = at & 15;
  if (stored == Stored.Q4_0) return scale * <f32>(nibble(inSteps(block, r, SCALES, near), high) - 8);
  if (stored == Stored.Q4_K) {
    const from = Q4_K_TOP + part * Q4_K_PART;
    const value = scale * <f32>load<u8>(byteOf(block, r, from)) *
      <f32>nibble(inSteps(block, r, from + SCALES, near), high);
    const least = widenHalf(<u32>load<u16>(halfOf(block, r, 32))) * unit;
    return value - least * <f32>load<u8>(byteOf(block, r, from + 16));
  }
  const from = Q6_K_TOP + part * Q6_K_PART;
  const pairs = load<u8>(inSteps(block, r, from + PAIRS, pairIndex(near)));
  const upper = <i32>(pairs >> (pairShift(near) + <u8>(high << 1))) & 3;
  const value = nibble(inSteps(block, r, from + SCALES, near), high) + (upper << 4) - 32;
  return scale * <f32>load<i8>(byteOf(block, r, from + (high << 4))) * <f32>value;
}

@inline
function nibble(at: usize, high: usize): i32 {
  return <i32>(load<u8>(at) >> <u8>(high << 2)) & 15;
}
