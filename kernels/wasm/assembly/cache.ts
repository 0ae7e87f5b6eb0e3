/**
 * The paged cache of keys and values. A block of it belongs to one layer, page and key head: keys in strips of
 * slots, `[dims][strip]` each, so that a strip's positions are scored together; then values in strips of dims,
 * `[slots][strip]` each. A strip is 16 wide, or 8 where that holds all; slots and dims are rounded up to strips.
 * Integers are followed by their scales, one for `SCALED` dims: `[scales][slots]` of keys, the same of values.
 */
import { Fault, Stored, Word } from "../opcodes";
import { address, checked, word } from "./vector";

/** Dims that share a scale. */
const SCALED: i32 = 32;

/** Words of ops on the cache: `K` headDim, `B` kvHeads, `C` page size, `D` pages, `E` layer, `P` positions,
 * `Q` sequences, `R` page tables, `S` cache, `N` pages of a table, `V` limit of sequences, `Flags` dtype. */

@inline
export function stripOf(size: i32): i32 {
  return size > 8 ? 16 : 8;
}

@inline
export function roundToStrip(size: i32): i32 {
  const strip = stripOf(size);
  return (size + strip - 1) & -strip;
}

/** Bytes of an element, as a power of 2. */
@inline
export function cacheWidth(op: usize): i32 {
  const stored = word(op, Word.Flags);
  return stored == Stored.F32 ? 2 : stored == Stored.F16 ? 1 : 0;
}

@inline
export function isScaled(op: usize): bool {
  return word(op, Word.Flags) == Stored.Q8_0;
}

/** Bytes of the elements of a block. */
@inline
function elementBytes(op: usize): usize {
  const dim = word(op, Word.K);
  return <usize>(roundToStrip(word(op, Word.C)) * (dim + roundToStrip(dim))) << cacheWidth(op);
}

/** Bytes of the scales of a block's keys, and of its values. */
@inline
function scaleBytes(op: usize): usize {
  const scales = (word(op, Word.K) + SCALED - 1) / SCALED;
  return <usize>(scales * roundToStrip(word(op, Word.C))) << 2;
}

@inline
export function blockBytes(op: usize): usize {
  return elementBytes(op) + (isScaled(op) ? 2 * scaleBytes(op) : 0);
}

/** Address of the block of a layer, physical page and key head. */
export function blockOf(op: usize, page: i32, head: i32): usize {
  const index = (word(op, Word.E) * word(op, Word.D) + page) * word(op, Word.B) + head;
  return address(op, Word.S) + <usize>index * blockBytes(op);
}

export function pageOf(op: usize, sequence: i32, position: i32): i32 {
  const slot = sequence * word(op, Word.N) + position / word(op, Word.C);
  const page = load<i32>(address(op, Word.R) + (<usize>slot << 2));
  return checked(page, word(op, Word.D), Fault.Page);
}

export function positionOf(op: usize, token: i32, limit: i32): i32 {
  const position = load<i32>(address(op, Word.P) + (<usize>token << 2));
  return checked(position, min(limit, word(op, Word.N) * word(op, Word.C)), Fault.Position);
}

export function sequenceOf(op: usize, token: i32): i32 {
  const sequence = load<i32>(address(op, Word.Q) + (<usize>token << 2));
  return checked(sequence, word(op, Word.V), Fault.Sequence);
}

/** Writes the keys and values of all heads, `keys` and then values, as one position of a page. */
export function append(op: usize, keys: usize, page: i32, position: i32): void {
  const dim = word(op, Word.K), kvHeads = word(op, Word.B), width = <usize>cacheWidth(op);
  const size = word(op, Word.C), slots = roundToStrip(size), slot = position % size;
  const strip = stripOf(size), dims = stripOf(dim);
  for (let h = 0; h < kvHeads; h++) {
    const block = blockOf(op, page, h), values = block + (<usize>(slots * dim) << width);
    const key = keys + ((<usize>(h * dim)) << 2), value = key + ((<usize>(kvHeads * dim)) << 2);
    if (isScaled(op)) {
      const scales = block + elementBytes(op) + (<usize>slot << 2);
      appendIntegers(key, block + <usize>(slot / strip * strip * dim + slot % strip), strip, dim, 0, 0, scales, slots);
      appendIntegers(value, values + <usize>(slot * dims), 1, dim, dims, slots, scales + scaleBytes(op), slots);
      continue;
    }
    const column = block + (<usize>(slot / strip * strip * dim + slot % strip) << width);
    for (let d = 0; d < dim; d++) {
      const row = d / dims * dims * slots + slot * dims + d % dims;
      storeCached(width, column + (<usize>(d * strip) << width), load<f32>(key + (<usize>d << 2)));
      storeCached(width, values + (<usize>row << width), load<f32>(value + (<usize>d << 2)));
    }
  }
}

/**
 * Writes `dim` floats as integers `step` bytes apart, in strips of `strip` (0 = one strip) that begin `strip * rows`
 * bytes apart, and the scale of every `SCALED` of them.
 */
function appendIntegers(
  from: usize, to: usize, step: i32, dim: i32, strip: i32, rows: i32, scales: usize, slots: i32,
): void {
  for (let first = 0; first < dim; first += SCALED) {
    const end = min(dim, first + SCALED);
    let largest: f32 = 0;
    for (let d = first; d < end; d++) largest = max(largest, abs(load<f32>(from + (<usize>d << 2))));
    const inverse = largest > 0 ? <f32>127 / largest : <f32>0;
    store<f32>(scales + (<usize>(first / SCALED * slots) << 2), largest / 127);
    for (let d = first; d < end; d++) {
      const at = strip > 0 ? d / strip * strip * rows + d % strip : d * step;
      store<i8>(to + <usize>at, <i8>nearest(load<f32>(from + (<usize>d << 2)) * inverse));
    }
  }
}

/** A page's keys of one strip of slots as floats, as they lie in a cache of floats. */
export function widenKeys(op: usize, block: usize, first: i32, to: usize): void {
  const dim = word(op, Word.K), size = word(op, Word.C), strip = stripOf(size), slots = roundToStrip(size);
  const keys = block + <usize>(first * dim), scales = block + elementBytes(op) + (<usize>first << 2);
  for (let d = 0; d < dim; d++) {
    const row = d * strip, scale = scales + (<usize>(d / SCALED * slots) << 2);
    for (let i = 0; i < strip; i += 8) {
      const eight = v128.load8x8_s(keys + <usize>(row + i)), out = to + (<usize>(row + i) << 2);
      const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(eight));
      const high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(eight));
      v128.store(out, f32x4.mul(low, v128.load(scale + (<usize>i << 2))));
      v128.store(out + 16, f32x4.mul(high, v128.load(scale + (<usize>i << 2), 16)));
    }
  }
}

/** A page's values of one strip of dims, slots `from` to `end`, as floats. */
export function widenValues(op: usize, block: usize, first: i32, from: i32, end: i32, to: usize): void {
  const dim = word(op, Word.K), size = word(op, Word.C), strip = stripOf(dim), slots = roundToStrip(size);
  const values = block + <usize>(slots * dim + first * slots);
  const scales = block + elementBytes(op) + scaleBytes(op) + (<usize>(first / SCALED * slots) << 2);
  for (let slot = from; slot < end; slot++) {
    const scale = f32x4.splat(load<f32>(scales + (<usize>slot << 2)));
    const out = to + (<usize>((slot - from) * strip) << 2);
    for (let i = 0; i < strip; i += 8) {
      const eight = v128.load8x8_s(values + <usize>(slot * strip + i));
      const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(eight));
      const high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(eight));
      v128.store(out + (<usize>i << 2), f32x4.mul(low, scale));
      v128.store(out + (<usize>i << 2), f32x4.mul(high, scale), 16);
    }
  }
}

@inline
function storeCached(width: usize, at: usize, value: f32): void {
  if (width == 2) store<f32>(at, value);
  else store<u16>(at, toHalf(value));
}

/** float32 to float16, to nearest even; too large values become the largest finite one. */
function toHalf(value: f32): u16 {
  const bits = reinterpret<u32>(value);
  const sign = (bits >> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x477fe000) return <u16>(sign | 0x7bff);
  if (magnitude < 0x38800000) {
    const shifted = reinterpret<f32>(magnitude) + <f32>0.5;
    return <u16>(sign | (reinterpret<u32>(shifted) - 0x3f000000));
  }
  return <u16>(sign | ((magnitude + 0xfff + ((magnitude >> 13) & 1) - 0x38000000) >> 13));
}
