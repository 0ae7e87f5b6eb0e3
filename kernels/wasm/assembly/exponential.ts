/** The exponential: splits x into n ln 2 + r and evaluates the Cephes polynomial in r; relative error about 1e-7. */
import { loadTail, madd, storeTail, sum4 } from "./vector";

/**
 * Lowest and highest x, 1 / ln 2, what rounds to integers when added, - ln 2 in two parts, the polynomial, 1. They
 * lie in memory for loops to load into registers: literals would be built anew at each use.
 */
const TERMS: usize = memory.data<f32>([
  -87.0, 88.0, 1.44269504088896341, 12582912.0, -0.693359375, 2.12194440e-4,
  1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1.0,
]);

@inline
function term(index: usize): v128 {
  return v128.load32_splat(TERMS + (index << 2));
}

/** `e^x`; 0 below -87, saturated above 88. */
export function exp4(x: v128): v128 {
  const e = power(
    x, i32x4.splat(127 << 23), term(0), term(1), term(2), term(3), term(4), term(5),
    term(6), term(7), term(8), term(9), term(10), term(11), term(12),
  );
  return v128.and(e, f32x4.ge(x, term(0)));
}

export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0);
}

/**
 * `to[i] = 2^exponent e^(scale from[i] + shift)` of `count` floats, and their sum; what lies below e^-87 counts as
 * that. `to` may be `from`.
 */
export function expRow(from: usize, to: usize, count: i32, scale: f32, shift: f32, exponent: i32): f32 {
  const low = term(0), high = term(1), inverse = term(2), magic = term(3), a = term(4), b = term(5);
  const p0 = term(6), p1 = term(7), p2 = term(8), p3 = term(9), p4 = term(10), p5 = term(11), one = term(12);
  const bias = i32x4.splat((127 + exponent) << 23), scales = f32x4.splat(scale), shifts = f32x4.splat(shift);
  let sum = f32x4.splat(0), sum1 = f32x4.splat(0);
  for (const end = from + (<usize>(count & ~7) << 2); from < end; from += 32) {
    const x = madd(v128.load(from), scales, shifts), x1 = madd(v128.load(from, 16), scales, shifts);
    const e = power(x, bias, low, high, inverse, magic, a, b, p0, p1, p2, p3, p4, p5, one);
    const e1 = power(x1, bias, low, high, inverse, magic, a, b, p0, p1, p2, p3, p4, p5, one);
    v128.store(to, e);
    v128.store(to, e1, 16);
    sum = f32x4.add(sum, e);
    sum1 = f32x4.add(sum1, e1);
    to += 32;
  }
  sum = f32x4.add(sum, sum1);
  for (let left = count & 7; left > 0; left -= 4) {
    const x = madd(left >= 4 ? v128.load(from) : loadTail(from, left), scales, shifts);
    const e = power(x, bias, low, high, inverse, magic, a, b, p0, p1, p2, p3, p4, p5, one);
    storeTail(to, e, left);
    sum = f32x4.add(sum, left >= 4 ? e : loadTail(to, left));
    from += 16;
    to += 16;
  }
  return sum4(sum);
}

@inline
function power(
  x: v128, bias: v128, low: v128, high: v128, inverse: v128, magic: v128, a: v128, b: v128,
  p0: v128, p1: v128, p2: v128, p3: v128, p4: v128, p5: v128, one: v128,
): v128 {
  const clamped = f32x4.max(f32x4.min(x, high), low);
  const shifted = madd(clamped, inverse, magic);
  const n = f32x4.sub(shifted, magic);
  const r = madd(n, b, madd(n, a, clamped));
  const p = madd(madd(madd(madd(madd(p0, r, p1), r, p2), r, p3), r, p4), r, p5);
  const y = f32x4.add(madd(p, f32x4.mul(r, r), r), one);
  return f32x4.mul(y, i32x4.add(i32x4.shl(shifted, 23), bias));
}
