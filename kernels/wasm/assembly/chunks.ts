/**
 * How items that lie one after another become chunks: in each round every thread gets half of its share of what is
 * left, at least `least` items. So a thread streams through memory for long at first, and all end together.
 */
import { Control } from "../opcodes";
import { ceilDiv } from "./vector";

@inline
function roundSize(left: i32, least: i32): i32 {
  return max(least, ceilDiv(left, 2 * load<i32>(Control.Threads)));
}

export function chunkCount(items: i32, least: i32): i32 {
  const threads = load<i32>(Control.Threads);
  let count = 0;
  for (let left = items; left > 0;) {
    const size = roundSize(left, least);
    count += min(threads, ceilDiv(left, size));
    left -= size * threads;
  }
  return count;
}

/** First item of chunk `index`; that of the next chunk is its end. */
export function chunkStart(items: i32, least: i32, index: i32): i32 {
  const threads = load<i32>(Control.Threads);
  let start = 0;
  for (; index >= threads && start < items; index -= threads) {
    start += threads * roundSize(items - start, least);
  }
  return start < items ? min(items, start + index * roundSize(items - start, least)) : items;
}
