import type { Random } from "../random.ts";
import { type Difficulty, type Reading, reading, type Task } from "../task.ts";
import { drawNumber } from "./arithmetic.ts";

const closeShare = 1 / 3;
const closeRadius = 60;
const digitWeights = [1, 1, 4, 4];

/** `max 2787 2779 2715` and `min …` of 2 to 5 numbers, a third of them close calls. */
export const max: Task = {
  name: "max",
  weight: 10,
  draw(difficulty: Difficulty, random: Random): string {
    const draw = random.chance(closeShare) ? closeCall(random) : anyNumber(random);
    const numbers = Array.from({ length: difficulty + 1 }, draw);
    return `${random.pick(["max", "min"])} ${numbers.join(" ")}`;
  },
  read(question: string): Reading | null {
    const found = /^(max|min)((?: \d{1,5})+)$/.exec(question);
    if (found === null) return null;
    const numbers = found[2]!.trim().split(" ").map(Number);
    const answer = found[1] === "max" ? Math.max(...numbers) : Math.min(...numbers);
    return reading(String(answer), numbers.length - 1);
  },
};

function closeCall(random: Random): () => number {
  const base = drawNumber(4, random);
  return () => base + random.integer(-closeRadius, closeRadius);
}

function anyNumber(random: Random): () => number {
  return () => drawNumber(1 + random.weighted(digitWeights), random);
}
