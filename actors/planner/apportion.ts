/** Bounds of one part. */
export interface Share {
  /** How much it should get, against the others; above 0. */
  readonly weight: number;
  /** The most that it can take, at least 1. */
  readonly most: number;
}

/**
 * Divides `total` whole things in proportion to weights, at least one to each and none more than it can take, by
 * largest remainders (Hamilton's method); `null` when that cannot be.
 */
export function apportion(total: number, shares: readonly Share[]): number[] | null {
  const room = shares.reduce((sum, { most }) => sum + most, 0);
  if (shares.length === 0 || total < shares.length || room < total) return null;
  const whole = shares.reduce((sum, { weight }) => sum + weight, 0);
  const ideal = shares.map(({ weight }) => total * weight / whole);
  const parts = shares.map(({ most }, i) => Math.min(most, Math.max(1, Math.floor(ideal[i]!))));
  const missing = (part: number, i: number) =>
    part < shares[i]!.most ? ideal[i]! - part : -Infinity;
  const excess = (part: number, i: number) => part > 1 ? part - ideal[i]! : -Infinity;
  let left = total - parts.reduce((sum, part) => sum + part, 0);
  for (; left > 0; left--) parts[best(parts.map(missing))]!++;
  for (; left < 0; left++) parts[best(parts.map(excess))]!--;
  return parts;
}

function best(scores: readonly number[]): number {
  return scores.indexOf(Math.max(...scores));
}

/** Cuts `0..total-1` into `parts` ranges whose sizes differ by at most one. */
export function split(total: number, parts: number): { first: number; count: number }[] {
  return Array.from({ length: parts }, (_, i) => {
    const first = Math.floor(i * total / parts);
    return { first, count: Math.floor((i + 1) * total / parts) - first };
  });
}
