/** A closed interval. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** The 97.5 % point of the normal distribution: two-sided intervals of 95 %. */
const z95 = 1.959963984540054;

/** The Wilson score interval (95 %) of `correct` successes in `total` trials; 0 to 1 for none. */
export function wilsonInterval(correct: number, total: number): Interval {
  if (total === 0) return { low: 0, high: 1 };
  const share = correct / total;
  const spread = z95 ** 2 / total;
  const centre = share + spread / 2;
  const radius = z95 * Math.sqrt(share * (1 - share) / total + spread / (4 * total));
  return {
    low: correct === 0 ? 0 : (centre - radius) / (1 + spread),
    high: correct === total ? 1 : (centre + radius) / (1 + spread),
  };
}

/** Items on which two systems were right: both, only the first, only the second, neither. */
export interface PairedCounts {
  readonly both: number;
  readonly onlyFirst: number;
  readonly onlySecond: number;
  readonly neither: number;
}

/**
 * Newcombe's hybrid score interval (95 %; method 10 of Statistics in Medicine 17:2635, 1998) of the
 * difference first − second of two shares that were measured on the same items.
 */
export function pairedDifferenceInterval(counts: PairedCounts): Interval {
  const { both, onlyFirst, onlySecond } = counts;
  const total = both + onlyFirst + onlySecond + counts.neither;
  if (total === 0) return { low: -1, high: 1 };
  const [first, second] = [(both + onlyFirst) / total, (both + onlySecond) / total];
  const a = wilsonInterval(both + onlyFirst, total);
  const b = wilsonInterval(both + onlySecond, total);
  const phi = correlation(counts);
  const radius = (x: number, y: number): number =>
    Math.sqrt(Math.max(0, x ** 2 - 2 * phi * x * y + y ** 2));
  return {
    low: first - second - radius(first - a.low, b.high - second),
    high: first - second + radius(a.high - first, second - b.low),
  };
}

/** Phi of the 2x2 table, a positive covariance corrected for continuity as the method asks. */
function correlation({ both, onlyFirst, onlySecond, neither }: PairedCounts): number {
  const total = both + onlyFirst + onlySecond + neither;
  const margins = (both + onlyFirst) * (onlySecond + neither) * (both + onlySecond) *
    (onlyFirst + neither);
  if (margins === 0) return 0;
  const covariance = both * neither - onlyFirst * onlySecond;
  const corrected = covariance > 0 ? Math.max(covariance - total / 2, 0) : covariance;
  return corrected / Math.sqrt(margins);
}

/**
 * The two-sided exact McNemar test: the probability, were both systems equally good, of disagreements
 * at least as lopsided as these.
 */
export function mcnemarProbability(onlyFirst: number, onlySecond: number): number {
  const total = onlyFirst + onlySecond;
  let logTerm = -total * Math.LN2;
  let tail = Math.exp(logTerm);
  for (let k = 1; k <= Math.min(onlyFirst, onlySecond); k++) {
    logTerm += Math.log((total - k + 1) / k);
    tail += Math.exp(logTerm);
  }
  return Math.min(1, 2 * tail);
}
