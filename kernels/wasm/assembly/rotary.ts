/** Rotary embedding, the norms before it, and the way into the cache. */
import { Word } from "../opcodes";
import { append, pageOf, positionOf, sequenceOf } from "./cache";
import { normRow } from "./elementwise";
import { address, number, word } from "./vector";

function rotateHead(head: usize, angles: usize, half: i32): void {
  const second = <usize>half << 2;
  let i = 0;
  for (; i + 4 <= half; i += 4) {
    const at = head + (<usize>i << 2);
    const cos = v128.load(angles + (<usize>i << 2)), sin = v128.load(angles + (<usize>i << 2) + second);
    const a = v128.load(at), b = v128.load(at + second);
    v128.store(at, f32x4.sub(f32x4.mul(a, cos), f32x4.mul(b, sin)));
    v128.store(at + second, f32x4.add(f32x4.mul(b, cos), f32x4.mul(a, sin)));
  }
  for (; i < half; i++) {
    const at = head + (<usize>i << 2);
    const cos = load<f32>(angles + (<usize>i << 2)), sin = load<f32>(angles + (<usize>i << 2) + second);
    const a = load<f32>(at), b = load<f32>(at + second);
    store<f32>(at, a * cos - b * sin);
    store<f32>(at + second, b * cos + a * sin);
  }
}

/** Norms heads one by one, or as one row where `Width` says so. */
function normHeads(op: usize, row: usize, weight: usize, heads: i32): void {
  if (!weight) return;
  const dim = word(op, Word.K), eps = number(op, Word.Scale);
  if (word(op, Word.Width)) return normRow(row, row, weight, heads * dim, eps);
  for (let h = 0; h < heads; h++) {
    const head = row + ((<usize>h * <usize>dim) << 2);
    normRow(head, head, weight, dim, eps);
  }
}

/**
 * Rotate: norms and rotates one token's query and key heads in place, appends keys and values. Words beside those
 * of the cache: `X` qkv, `A` heads, `Weight` rotary table of `U` positions, `Bias` q norm, `T` k norm, `Width`
 * whether they norm whole rows, `Scale` eps.
 */
export function rotate(op: usize, token: i32): void {
  const dim = word(op, Word.K), heads = word(op, Word.A), kvHeads = word(op, Word.B);
  const row = address(op, Word.X) + ((<usize>token * <usize>((heads + 2 * kvHeads) * dim)) << 2);
  const position = positionOf(op, token, word(op, Word.U));
  const angles = address(op, Word.Weight) + ((<usize>position * <usize>dim) << 2);
  const keys = row + ((<usize>(heads * dim)) << 2);
  normHeads(op, row, address(op, Word.Bias), heads);
  normHeads(op, keys, address(op, Word.T), kvHeads);
  for (let h = 0; h < heads + kvHeads; h++) {
    rotateHead(row + ((<usize>h * <usize>dim) << 2), angles, dim >> 1);
  }
  append(op, keys, pageOf(op, sequenceOf(op, token), position), position);
}
