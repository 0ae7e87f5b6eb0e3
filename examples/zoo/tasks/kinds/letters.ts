import type { Random } from "../random.ts";
import { type Difficulty, type Reading, reading, type Task } from "../task.ts";

const vowels = [..."aeiou"];
const consonants = [..."bcdfghklmnprstvw"];
const vowelFirst = 0.4;
const sameClass = 0.15;

const reverseLengths = [[3, 4], [5, 6], [7, 8], [9, 11]] as const;
const countLengths = [[3, 5], [6, 8], [9, 11], [12, 15]] as const;

/** `reverse gasiti`: 3 to 11 letters. */
export const rev: Task = {
  name: "rev",
  weight: 10,
  draw(difficulty: Difficulty, random: Random): string {
    return `reverse ${drawWord(reverseLengths[difficulty - 1]!, random)}`;
  },
  read(question: string): Reading | null {
    const word = /^reverse ([a-z]+)$/.exec(question)?.[1];
    if (word === undefined) return null;
    return reading([...word].reverse().join(""), within(word.length, reverseLengths));
  },
};

const strangeLetter = 0.15;
const replaced = 0.17;

/** `count e in eeaikeemat`: 3 to 15 letters, the wanted one more often than the others. */
export const count: Task = {
  name: "count",
  weight: 10,
  draw(difficulty: Difficulty, random: Random): string {
    const word = [...drawWord(countLengths[difficulty - 1]!, random)];
    const letter = random.chance(strangeLetter)
      ? random.pick([...vowels, ...consonants])
      : random.pick(word);
    const denser = word.map((other) => random.chance(replaced) ? letter : other);
    return `count ${letter} in ${denser.join("")}`;
  },
  read(question: string): Reading | null {
    const found = /^count ([a-z]) in ([a-z]+)$/.exec(question);
    if (found === null) return null;
    const [, letter, word] = found as unknown as [string, string, string];
    return reading(String(word.split(letter).length - 1), within(word.length, countLengths));
  },
};

/** A pronounceable string: vowels and consonants mostly take turns. */
function drawWord([shortest, longest]: readonly [number, number], random: Random): string {
  let vowel = random.chance(vowelFirst);
  const letters = Array.from({ length: random.integer(shortest, longest) }, () => {
    const letter = random.pick(vowel ? vowels : consonants);
    vowel = random.chance(sameClass) ? vowel : !vowel;
    return letter;
  });
  return letters.join("");
}

function within(length: number, ranges: readonly (readonly [number, number])[]): number {
  return 1 + ranges.findIndex(([shortest, longest]) => shortest <= length && length <= longest);
}
