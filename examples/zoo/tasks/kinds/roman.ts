import type { Random } from "../random.ts";
import { type Difficulty, type Reading, reading, type Task } from "../task.ts";

const largest = 3999;
const numerals = [
  ["M", 1000],
  ["CM", 900],
  ["D", 500],
  ["CD", 400],
  ["C", 100],
  ["XC", 90],
  ["L", 50],
  ["XL", 40],
  ["X", 10],
  ["IX", 9],
  ["V", 5],
  ["IV", 4],
  ["I", 1],
] as const;

/** `roman 982` and `int XIV`: numbers of 1 to 4 digits, up to 3999; difficulty = digits. */
export const roman: Task = {
  name: "roman",
  weight: 7,
  draw(difficulty: Difficulty, random: Random): string {
    const value = random.integer(
      10 ** (difficulty - 1),
      Math.min(10 ** difficulty - 1, largest),
    );
    return random.chance(0.5) ? `roman ${value}` : `int ${toRoman(value)}`;
  },
  read(question: string): Reading | null {
    const digits = /^roman ([1-9]\d{0,3})$/.exec(question)?.[1];
    if (digits !== undefined) {
      return Number(digits) > largest ? null : reading(toRoman(Number(digits)), digits.length);
    }
    const numeral = /^int ([IVXLCDM]{1,15})$/.exec(question)?.[1];
    const value = numeral === undefined ? null : fromRoman(numeral);
    return value === null ? null : reading(String(value), String(value).length);
  },
};

function toRoman(value: number): string {
  let left = value;
  return numerals.map(([letters, worth]) => {
    const times = Math.floor(left / worth);
    left -= times * worth;
    return letters.repeat(times);
  }).join("");
}

function fromRoman(numeral: string): number | null {
  let at = 0;
  let value = 0;
  for (const [letters, worth] of numerals) {
    while (numeral.startsWith(letters, at)) {
      value += worth;
      at += letters.length;
    }
  }
  return value <= largest && toRoman(value) === numeral ? value : null;
}
