import type { Random } from "../random.ts";
import { type Difficulty, type Reading, reading, type Task } from "../task.ts";

/** `7350+7994`: sums and differences that are not negative; difficulty = digits of the larger. */
export const addsub: Task = {
  name: "addsub",
  weight: 15,
  draw(difficulty: Difficulty, random: Random): string {
    const a = drawNumber(difficulty, random);
    const b = drawNumber(random.chance(0.5) ? difficulty : random.integer(1, difficulty), random);
    if (random.chance(0.5)) return random.chance(0.5) ? `${a}+${b}` : `${b}+${a}`;
    return `${Math.max(a, b)}-${Math.min(a, b)}`;
  },
  read(question: string): Reading | null {
    const found = /^(\d{1,4})([+-])(\d{1,4})$/.exec(question);
    if (found === null) return null;
    const [a, b] = [Number(found[1]), Number(found[3])];
    if (found[2] === "-" && a < b) return null;
    const answer = found[2] === "+" ? a + b : a - b;
    return reading(String(answer), Math.max(found[1]!.length, found[3]!.length));
  },
};

const factorDigits = [[1, 1], [2, 1], [3, 1], [2, 2]] as const;

/** `699*6`: products of 1x1, 2x1, 3x1 and 2x2 digits, in either order. */
export const mul: Task = {
  name: "mul",
  weight: 10,
  draw(difficulty: Difficulty, random: Random): string {
    const digits = factorDigits[difficulty - 1]!;
    const [a, b] = random.shuffle([
      drawNumber(digits[0], random),
      drawNumber(digits[1], random),
    ]);
    return `${a}*${b}`;
  },
  read(question: string): Reading | null {
    const found = /^(\d{1,3})\*(\d{1,3})$/.exec(question);
    if (found === null) return null;
    const digits = [found[1]!.length, found[2]!.length].sort().reverse();
    const index = factorDigits.findIndex(([a, b]) => a === digits[0] && b === digits[1]);
    return reading(String(Number(found[1]) * Number(found[2])), index + 1);
  },
};

/** A number of exactly so many digits; of one digit, 0 too. */
export function drawNumber(digits: number, random: Random): number {
  return random.integer(digits === 1 ? 0 : 10 ** (digits - 1), 10 ** digits - 1);
}
