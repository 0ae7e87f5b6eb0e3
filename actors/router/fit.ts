/** Fitting the thresholds of a cascade on labelled items, by replay of every level's answers. */

/** What one level did with one item. */
export interface Outcome {
  /** Confidence in the answer, a log-probability in nats; `-Infinity` of no tokens. */
  readonly confidence: number;
  /** Whether the answer was right. */
  readonly correct: boolean;
  /** Cost of the visit in any unit that is the same for all levels. */
  readonly cost: number;
}

/** One labelled item: an outcome a level, small to giant. */
export type LabelledItem = readonly Outcome[];

/** One operating point of a cascade. */
export interface OperatingPoint {
  /** A threshold a level; `null` = always accepts; `undefined` = the cascade leaves the level out. */
  readonly thresholds: readonly (number | null | undefined)[];
  /** Share of items that the cascade answers right, 0 to 1. */
  readonly accuracy: number;
  /** Mean of (cascade correct) - (last level correct) over the items. */
  readonly gain: number;
  /** Standard error of `gain`. */
  readonly gainError: number;
  /** Mean cost of a request. */
  readonly cost: number;
  /** Share of requests that visit each level. */
  readonly visits: readonly number[];
}

/** Thresholds tried per combination of levels, all levels together. */
const GRID = 4096;

/** Quantile of the standard normal for a one-sided 95 % bound. */
const ONE_SIDED_95 = 1.645;

/**
 * The cheapest operating point that preserves the last level's accuracy (HybridServe's accuracy-preserving
 * point): with 95 % confidence, by the paired difference on the items, it loses at most `tolerance`. Tries
 * every subset of levels that ends with the last, and a grid of confidence quantiles as thresholds.
 */
export function fitThresholds(items: readonly LabelledItem[], tolerance: number): OperatingPoint {
  const last = (items[0]?.length ?? 0) - 1;
  if (last < 0) throw new RangeError("Cannot fit thresholds without items");
  let best = replay(
    items,
    Array.from({ length: last + 1 }, (_, i) => i === last ? null : undefined),
  );
  for (const thresholds of grid(items, last)) {
    const point = replay(items, thresholds);
    const bound = point.gain - ONE_SIDED_95 * point.gainError;
    if (bound >= -tolerance && point.cost < best.cost) best = point;
  }
  return best;
}

/** What a cascade with these thresholds would have done. */
export function replay(
  items: readonly LabelledItem[],
  thresholds: readonly (number | null | undefined)[],
): OperatingPoint {
  const visits = thresholds.map(() => 0);
  let [correct, gain, changes, cost] = [0, 0, 0, 0];
  for (const item of items) {
    const answer = answerOf(item, thresholds, (level) => {
      visits[level]!++;
      cost += item[level]!.cost;
    });
    const difference = Number(answer.correct) - Number(item.at(-1)!.correct);
    correct += Number(answer.correct);
    gain += difference;
    changes += difference * difference;
  }
  const n = items.length;
  return {
    thresholds,
    accuracy: correct / n,
    gain: gain / n,
    gainError: Math.sqrt((changes / n - (gain / n) ** 2) / n),
    cost: cost / n,
    visits: visits.map((count) => count / n),
  };
}

/** The outcome that a cascade answers an item with; `visit` sees each level on the way. */
function answerOf(
  item: LabelledItem,
  thresholds: readonly (number | null | undefined)[],
  visit: (level: number) => void,
): Outcome {
  for (const [level, threshold] of thresholds.entries()) {
    if (threshold === undefined) continue;
    visit(level);
    if (threshold === null || item[level]!.confidence >= threshold) return item[level]!;
  }
  throw new RangeError("Cannot answer with a cascade whose last level may refuse");
}

/** Non-empty subsets of the levels before the last. */
function subsets(last: number): number[][] {
  return Array.from(
    { length: 2 ** last - 1 },
    (_, bits) =>
      Array.from({ length: last }, (_, level) => level).filter((level) => (bits + 1) >> level & 1),
  );
}

/** Every combination of thresholds to try. */
function* grid(
  items: readonly LabelledItem[],
  last: number,
): Generator<(number | null | undefined)[]> {
  for (const subset of subsets(last)) {
    const size = Math.max(4, Math.floor(GRID ** (1 / subset.length)));
    const candidates = subset.map((level) =>
      quantiles(items.map((item) => item[level]!.confidence), size)
    );
    for (const chosen of product(candidates)) {
      yield Array.from({ length: last + 1 }, (_, level) => {
        if (level === last) return null;
        const index = subset.indexOf(level);
        return index < 0 ? undefined : chosen[index]!;
      });
    }
  }
}

/** Up to `size` distinct values of a list, ascending and evenly spread in rank. */
function quantiles(values: readonly number[], size: number): number[] {
  const sorted = [...new Set(values)].sort((a, b) => a - b);
  if (sorted.length <= size) return sorted;
  return Array.from(
    { length: size },
    (_, i) => sorted[Math.floor(i * (sorted.length - 1) / (size - 1))]!,
  );
}

function product(lists: readonly (readonly number[])[]): number[][] {
  return lists.reduce<number[][]>(
    (rows, list) => rows.flatMap((row) => list.map((value) => [...row, value])),
    [[]],
  );
}
