import type { Random } from "../random.ts";
import { type Difficulty, type Reading, reading, type Task } from "../task.ts";

/** A larger unit, a smaller one, and how many of the smaller make one of the larger. */
type Pair = readonly [large: string, small: string, factor: number];

const metric: readonly Pair[] = [
  ["cm", "mm", 10],
  ["m", "cm", 100],
  ["km", "m", 1000],
  ["kg", "g", 1000],
  ["l", "ml", 1000],
];
const decimal = metric.filter(([large]) => large !== "cm");
const mixed: readonly Pair[] = [
  ["ft", "in", 12],
  ["h", "min", 60],
  ["min", "s", 60],
  ["d", "h", 24],
  ["wk", "d", 7],
  ["yr", "mo", 12],
];
/** Compound lengths and times; minutes are `m` in a compound, `min` alone after hours. */
const compound: readonly Pair[] = [
  ["ft", "in", 12],
  ["h", "m", 60],
  ["m", "s", 60],
  ["d", "h", 24],
  ["wk", "d", 7],
];

/**
 * Unit conversions: `3421cm to mm`, then `66184ml to l` (decimals), `120min to s`, and compounds
 * both ways, `233min to h` (`3h53m`) and `14h2m to min`.
 */
export const unit: Task = {
  name: "unit",
  weight: 10,
  draw(difficulty: Difficulty, random: Random): string {
    return draws[difficulty](random);
  },
  read(question: string): Reading | null {
    const found = /^(\d{1,5})([a-z]+)(?:(\d{1,2})([a-z]+))? to ([a-z]+)$/.exec(question);
    if (found === null) return null;
    const [from, to] = [found[2]!, found[5]!];
    if (found[4] !== undefined) {
      return fromCompound(Number(found[1]), from, Number(found[3]), found[4], to);
    }
    return toSmaller(Number(found[1]), from, to) ?? toLarger(Number(found[1]), from, to);
  },
};

const draws = {
  1: (random: Random): string => {
    const [large, small] = random.pick(metric);
    return `${random.integer(2, 9999)}${large} to ${small}`;
  },
  2: (random: Random): string => {
    const [large, small] = random.pick(decimal);
    return `${random.integer(100, 99999)}${small} to ${large}`;
  },
  3: (random: Random): string => {
    const [large, small] = random.pick(mixed);
    return `${random.integer(1, 200)}${large} to ${small}`;
  },
  4: (random: Random): string => {
    const [large, small, factor] = random.pick(compound);
    const [whole, part] = [random.integer(2, 59), random.integer(1, factor - 1)];
    const alone = small === "m" ? "min" : small;
    return random.chance(0.5)
      ? `${whole}${large}${part}${small} to ${alone}`
      : `${whole * factor + part}${alone} to ${large}`;
  },
};

function fromCompound(
  whole: number,
  large: string,
  part: number,
  small: string,
  to: string,
): Reading | null {
  const pair = compound.find((pair) => pair[0] === large && pair[1] === small);
  if (pair === undefined || part >= pair[2] || to !== (small === "m" ? "min" : small)) return null;
  return reading(String(whole * pair[2] + part), 4);
}

function toSmaller(amount: number, from: string, to: string): Reading | null {
  const easy = metric.find(([large, small]) => large === from && small === to);
  if (easy !== undefined) return reading(String(amount * easy[2]), 1);
  const other = mixed.find(([large, small]) => large === from && small === to);
  return other === undefined ? null : reading(String(amount * other[2]), 3);
}

function toLarger(amount: number, from: string, to: string): Reading | null {
  const exact = decimal.find(([large, small]) => large === to && small === from);
  if (exact !== undefined) return reading(String(amount / exact[2]), 2);
  const split = compound.find(([large, small]) =>
    large === to && (small === "m" ? "min" : small) === from
  );
  if (split === undefined) return null;
  const [large, small, factor] = split;
  return reading(`${Math.floor(amount / factor)}${large}${amount % factor}${small}`, 4);
}
