/**
 * The paged cache of keys and values. A block of it belongs to one layer, page and key head: keys in strips of
 * slots, `[dims][strip]` each, so that a strip's positions are scored together; then values in strips of dims,
 * `[slots][strip]` each. A strip is 16 wide, or 8 where that holds all; slots and dims are rounded up to strips.
 */
import { Fault, Stored, Word } from "../opcodes";
import { address, checked, word } from "./vector";

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

@inline
export function cacheWidth(op: usize): i32 {
  return word(op, Word.Flags) == Stored.F32 ? 2 : 1;
}

@inline
export function blockBytes(op: usize): usize {
  const dim = word(op, Word.K);
  return <usize>(roundToStrip(word(op, Word.C)) * (dim + roundToStrip(dim))) << cacheWidth(op);
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
    const column = block + (<usize>(slot / strip * strip * dim + slot % strip) << width);
    for (let d = 0; d < dim; d++) {
      const row = d / dims * dims * slots + slot * dims + d % dims;
      storeCached(width, column + (<usize>(d * strip) << width), load<f32>(key + (<usize>d << 2)));
      storeCached(width, values + (<usize>row << width), load<f32>(value + (<usize>d << 2)));
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
