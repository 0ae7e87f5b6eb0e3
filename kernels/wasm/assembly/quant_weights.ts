/**
 * Sealing a quantised weight: 8 rows become a panel in place. In a block of 32, four k of four rows are one
 * vector, so that its lanes are rows. A panel holds for each block (of a super-block, `|` before its blocks):
 *   Q8_0  8 f16 scales, 8 i16 negative sums of the weights, 8 x 2 vectors of bytes
 *   Q4_0  8 f16 scales, 4 x 2 vectors: k 0 to 15 in low nibbles, 16 to 31 in high ones
 *   Q4_K  8 f16 scales, 8 f16 minima | 8 byte scales, 8 byte minima, nibbles as above
 *   Q6_K  8 f16 scales | 8 scales of k 0 to 15, 8 of 16 to 31, nibbles as above, 2 x 2 vectors of bit pairs
 */
import { Fault, Stored, Weight, Word } from "../opcodes";
import { half1 } from "./quant_vector";
import { address, checked, scratch, word } from "./vector";

/** Elements of a stored block, its bytes, and its bytes in a panel, all of one row. */
@inline
function blockElements(stored: i32): i32 {
  return stored == Stored.Q8_0 || stored == Stored.Q4_0 ? 32 : 256;
}

@inline
function storedBytes(stored: i32): usize {
  return stored == Stored.Q8_0 ? 34 : stored == Stored.Q4_0 ? 18 : stored == Stored.Q4_K ? 144 : 210;
}

@inline
function packedBytes(stored: i32): usize {
  return stored == Stored.Q8_0 ? 36 : stored == Stored.Q4_0 ? 18 : stored == Stored.Q4_K ? 148 : 210;
}

/** Bytes of a panel of 8 rows of `k`. */
@inline
export function panelBytes(stored: i32, k: i32): usize {
  return <usize>(k / blockElements(stored)) * packedBytes(stored) * 8;
}

export function planQuantSeal(op: usize): i32 {
  const weight = address(op, Word.Weight);
  return word(weight, Weight.Matrices) * ((word(weight, Weight.N) + 7) >> 3);
}

/** QuantSeal: packs panel `index` of `Weight`, whose 8 rows lie as stored where the panel will. */
export function quantSeal(op: usize, index: i32, thread: i32): void {
  const weight = address(op, Word.Weight);
  const stored = word(weight, Weight.Stored), k = word(weight, Weight.K);
  const bytes = panelBytes(stored, k);
  const panel = address(weight, Weight.Data) + <usize>index * bytes;
  const to = scratch(thread);
  memory.fill(to, 0, bytes);
  const blocks = k / blockElements(stored);
  for (let r: usize = 0; r < 8; r++) {
    for (let b = 0; b < blocks; b++) {
      const from = panel + (r * <usize>blocks + <usize>b) * storedBytes(stored);
      packBlock(stored, from, to + <usize>b * packedBytes(stored) * 8, r);
    }
  }
  memory.copy(panel, to, bytes);
}

function packBlock(stored: i32, from: usize, to: usize, r: usize): void {
  if (stored == Stored.Q8_0) packQ8_0(from, to, r);
  else if (stored == Stored.Q4_0) packQ4_0(from, to, r);
  else if (stored == Stored.Q4_K) packQ4K(from, to, r);
  else packQ6K(from, to, r);
}

/** Place of element `i` (below 16 for nibbles) of row `r` among the vectors of a block. */
@inline
function place(i: usize, r: usize): usize {
  return ((i >> 2) << 5) + (r << 2) + (i & 3);
}

function packQ8_0(from: usize, to: usize, r: usize): void {
  store<u16>(to + (r << 1), load<u16>(from));
  let sum = 0;
  for (let i: usize = 0; i < 32; i++) {
    const q = load<i8>(from + 2 + i);
    sum += q;
    store<i8>(to + 32 + place(i, r), q);
  }
  store<i16>(to + 16 + (r << 1), <i16>-sum);
}

function packQ4_0(from: usize, to: usize, r: usize): void {
  store<u16>(to + (r << 1), load<u16>(from));
  for (let i: usize = 0; i < 16; i++) store<u8>(to + 16 + place(i, r), load<u8>(from + 2 + i));
}

/** Element `i` of 32 of a part: the stored low nibbles are one part, the high ones the next. */
function packQ4K(from: usize, to: usize, r: usize): void {
  store<u16>(to + (r << 1), load<u16>(from));
  store<u16>(to + 16 + (r << 1), load<u16>(from, 2));
  for (let part: usize = 0; part < 8; part++) {
    const block = to + 32 + part * 144;
    store<u8>(block + r, scaleOf(from + 4, part));
    store<u8>(block + 8 + r, minimumOf(from + 4, part));
    const source = from + 16 + (part >> 1) * 32;
    const shift = <u8>((part & 1) << 2);
    for (let i: usize = 0; i < 16; i++) {
      const low = (load<u8>(source + i) >> shift) & 15, high = (load<u8>(source + i + 16) >> shift) & 15;
      store<u8>(block + 16 + place(i, r), low | (high << 4));
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

function packQ6K(from: usize, to: usize, r: usize): void {
  store<u16>(to + (r << 1), load<u16>(from, 208));
  for (let part: usize = 0; part < 8; part++) {
    const block = to + 16 + part * 208;
    store<u8>(block + r, load<u8>(from + 192 + part * 2));
    store<u8>(block + 8 + r, load<u8>(from + 193 + part * 2));
    for (let i: usize = 0; i < 16; i++) {
      const low = sixBits(from, part * 32 + i), high = sixBits(from, part * 32 + i + 16);
      store<u8>(block + 16 + place(i, r), (low & 15) | (high << 4));
      const pairs = block + 144 + ((i >> 3) << 5) + (r << 2) + (i & 3);
      const shift = <u8>(((i >> 2) & 1) << 1);
      const bits = ((low >> 4) << shift) | ((high >> 4) << (shift + 4));
      store<u8>(pairs, load<u8>(pairs) | bits);
    }
  }
}

/** Element `i` of a stored Q6_K block, 0 to 63. */
function sixBits(from: usize, i: usize): u8 {
  const side = i >> 7, part = (i >> 5) & 3, column = i & 31;
  const low = (load<u8>(from + side * 64 + (part & 1) * 32 + column) >> <u8>((part >> 1) << 2)) & 15;
  return low | (((load<u8>(from + 128 + side * 32 + column) >> <u8>(part << 1)) & 3) << 4);
}

/** QuantEmbed: `Out` row t = row `X[t]` of `Weight`. */
export function quantEmbed(op: usize, row: i32): void {
  const weight = address(op, Word.Weight);
  const id = load<i32>(address(op, Word.X) + (<usize>row << 2));
  const index = checked(id, word(weight, Weight.N), Fault.TokenId);
  const stored = word(weight, Weight.Stored), k = word(weight, Weight.K);
  const panel = address(weight, Weight.Data) + <usize>(index >> 3) * panelBytes(stored, k);
  const out = address(op, Word.Out) + ((<usize>row * <usize>k) << 2);
  for (let i = 0; i < k; i++) {
    store<f32>(out + (<usize>i << 2), element(stored, panel, <usize>index & 7, i));
  }
}

function element(stored: i32, panel: usize, r: usize, i: i32): f32 {
  const size = blockElements(stored);
  const top = panel + <usize>(i / size) * packedBytes(stored) * 8;
  const scale = half1(top + (r << 1));
  const at = <usize>i & 31, part = <usize>(i & 255) >> 5;
  if (stored == Stored.Q8_0) return scale * <f32>load<i8>(top + 32 + place(at, r));
  const high = at >> 4, near = at & 15;
  if (stored == Stored.Q4_0) return scale * <f32>(nibble(top + 16 + place(near, r), high) - 8);
  if (stored == Stored.Q4_K) {
    const block = top + 32 + part * 144;
    const value = scale * <f32>load<u8>(block + r) * <f32>nibble(block + 16 + place(near, r), high);
    return value - half1(top + 16 + (r << 1)) * <f32>load<u8>(block + 8 + r);
  }
  const block = top + 16 + part * 208;
  const pairs = load<u8>(block + 144 + ((near >> 3) << 5) + (r << 2) + (near & 3));
  const upper = <i32>(pairs >> <u8>((((near >> 2) & 1) << 1) + (high << 2))) & 3;
  const value = nibble(block + 16 + place(near, r), high) + (upper << 4) - 32;
  return scale * <f32>load<i8>(block + (high << 3) + r) * <f32>value;
}

@inline
function nibble(at: usize, high: usize): i32 {
  return <i32>(load<u8>(at) >> <u8>(high << 2)) & 15;
}
