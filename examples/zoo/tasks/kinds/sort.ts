import type { Random } from "../random.ts";
import { type Difficulty, type Reading, reading, type Task } from "../task.ts";
import { WORDS } from "../words.ts";

const known = new Set(WORDS);
const pairShare = 0.2;
const tripleShare = 0.13;

/** `sort hand dawn bell`: 2 to 6 different words; a third has two or three of one initial. */
export const sort: Task = {
  name: "sort",
  weight: 10,
  draw(difficulty: Difficulty, random: Random): string {
    const count = difficulty < 4 ? difficulty + 1 : random.integer(5, 6);
    const alike = sameInitial([1, 2, 3][drawAlike(random)]!, count, random);
    const rest = random.sample(WORDS.filter((word) => !alike.includes(word)), count - alike.length);
    return `sort ${random.shuffle([...alike, ...rest]).join(" ")}`;
  },
  read(question: string): Reading | null {
    if (!question.startsWith("sort ")) return null;
    const words = question.slice(5).split(" ");
    if (words.length > 6 || !words.every((word) => known.has(word))) return null;
    return reading(words.sort().join(" "), Math.min(words.length - 1, 4));
  },
};

function drawAlike(random: Random): number {
  return random.weighted([1 - pairShare - tripleShare, pairShare, tripleShare]);
}

function sameInitial(wanted: number, count: number, random: Random): string[] {
  if (wanted > count) return [];
  const initial = random.pick(WORDS)[0]!;
  return random.sample(WORDS.filter((word) => word.startsWith(initial)), wanted);
}
