/** Rows of `[rows, width]` arrays, by their indices. */
import type { Assignment } from "./assignment.ts";

/** Copies some rows of `from` behind each other. */
export function gatherRows(from: Float32Array, rows: Int32Array, width: number): Float32Array {
  const to = new Float32Array(rows.length * width);
  rows.forEach((row, i) => to.set(from.subarray(row * width, (row + 1) * width), i * width));
  return to;
}

/** Adds `part`, one row for each of `rows`, to those rows of `sum`. */
export function addRows(sum: Float32Array, rows: Int32Array, part: Float32Array): void {
  const width = rows.length > 0 ? part.length / rows.length : 0;
  rows.forEach((row, i) => {
    for (let column = 0; column < width; column++) {
      sum[row * width + column]! += part[i * width + column]!;
    }
  });
}

/** The chosen experts `[tokens, topK]` that belong to some assignments; -1 for all others. */
export function choicesOf(
  experts: Int32Array,
  assignments: readonly Assignment[],
  topK: number,
): Int32Array {
  const kept = new Int32Array(experts.length).fill(-1);
  for (const { rows, experts: held } of assignments) {
    held.forEach((index, i) => {
      const at = rows[Math.floor(i / topK)]! * topK + i % topK;
      if (index >= 0) kept[at] = experts[at]!;
    });
  }
  return kept;
}
