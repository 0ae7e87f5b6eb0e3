/**
 * Sealing a weight: its rows are rearranged into panels in place. f16 fields, weights or scales, are kept times
 * a power of two as large as they all allow up to 2^10: then no subnormals are left, which cost an assist each.
 */
import { Stored, Weight, Word } from "../opcodes";
import { packFloatPanel } from "./float_weights";
import { blockElements, isQuantised, PANEL, panelBytes, panelCount, storedBytes } from "./layout";
import { packQuantPanel } from "./quant_weights";
import { address, powerOf2, scratch, word } from "./vector";

/** Seal: `Flags` 0 finds the largest f16 field of `Weight`, 1 sets its scales, 2 packs it; a chunk is a panel. */
export function planSeal(op: usize): i32 {
  const weight = address(op, Word.Weight), pass = word(op, Word.Flags);
  if (pass == 1) setScales(weight);
  if (pass == 1 || (pass == 0 && !holdsHalves(weight))) return 0;
  return word(weight, Weight.Matrices) * panelCount(word(weight, Weight.N));
}

export function seal(op: usize, panel: i32, thread: i32): void {
  const weight = address(op, Word.Weight);
  const stored = word(weight, Weight.Stored), k = word(weight, Weight.K);
  const bytes = panelBytes(stored, k);
  const at = address(weight, Weight.Data) + <usize>panel * bytes;
  if (word(op, Word.Flags) == 0) return findLargest(weight, at);
  const to = scratch(thread);
  if (isQuantised(stored)) packQuantPanel(stored, at, to, k, powerOf2(scaleShift(weight)));
  else packFloatPanel(stored, at, to, k, powerOf2(scaleShift(weight)));
  memory.copy(at, to, bytes);
}

function holdsHalves(weight: usize): bool {
  const stored = word(weight, Weight.Stored);
  return stored == Stored.F16 || isQuantised(stored);
}

function findLargest(weight: usize, panel: usize): void {
  const stored = word(weight, Weight.Stored), step = storedBytes(stored);
  const blocks = PANEL * (word(weight, Weight.K) / blockElements(stored));
  const at = panel + (stored == Stored.Q6_K ? 208 : 0);
  let largest = 0;
  for (let i = 0; i < blocks; i++) {
    const block = at + <usize>i * step;
    largest = max(largest, <i32>load<u16>(block) & 0x7fff);
    if (stored == Stored.Q4_K) largest = max(largest, <i32>load<u16>(block, 2) & 0x7fff);
  }
  const slot = weight + Weight.Largest * 4;
  for (;;) {
    const seen = atomic.load<i32>(slot);
    if (largest <= seen || atomic.cmpxchg<i32>(slot, seen, largest) == seen) return;
  }
}

/**
 * Widened by a shift, an f16 is its value times 2^-112. Activations of f16 weights are scaled by 2^64 so that
 * products stay in range, results by the rest; scales of quantised weights are made exact where they are used.
 */
function setScales(weight: usize): void {
  const shift = scaleShift(weight);
  const isHalf = word(weight, Weight.Stored) == Stored.F16;
  store<f32>(weight + Weight.InScale * 4, isHalf ? powerOf2(64) : 1.0);
  store<f32>(weight + Weight.OutScale * 4, isHalf ? powerOf2(48 - shift) : 1.0);
  store<f32>(weight + Weight.Unit * 4, powerOf2(112 - shift));
}

@inline
function scaleShift(weight: usize): i32 {
  return max(0, min(10, 30 - (word(weight, Weight.Largest) >> 10)));
}
