import type { Random } from "../random.ts";
import { type Difficulty, type Reading, reading, type Task } from "../task.ts";

interface Value {
  readonly truth: boolean;
  readonly operators: number;
  /** Where the text after it starts. */
  readonly end: number;
}

/**
 * `(T&F)^!T`: and, or, exclusive or, not; every inner binary expression has its parentheses.
 * Difficulty n has 2n or 2n+1 operators.
 */
export const bool: Task = {
  name: "bool",
  weight: 8,
  draw(difficulty: Difficulty, random: Random): string {
    return drawExpression(random.integer(2 * difficulty, 2 * difficulty + 1), random, false);
  },
  read(question: string): Reading | null {
    if (question.length > 64) return null;
    const value = readBinary(question, 0);
    if (value === null || value.end !== question.length) return null;
    return reading(value.truth ? "T" : "F", Math.floor(value.operators / 2));
  },
};

function drawExpression(operators: number, random: Random, inner: boolean): string {
  if (operators === 0) return random.pick(["T", "F"]);
  const operator = random.pick(["&", "|", "^", "!"]);
  if (operator === "!") return `!${drawExpression(operators - 1, random, true)}`;
  const left = random.integer(0, operators - 1);
  const text = drawExpression(left, random, true) + operator +
    drawExpression(operators - 1 - left, random, true);
  return inner ? `(${text})` : text;
}

function readBinary(text: string, start: number): Value | null {
  const left = readUnary(text, start);
  if (left === null || !"&|^".includes(text[left.end] ?? ")")) return left;
  const right = readUnary(text, left.end + 1);
  if (right === null) return null;
  return {
    truth: apply(text[left.end]!, left.truth, right.truth),
    operators: left.operators + right.operators + 1,
    end: right.end,
  };
}

function readUnary(text: string, start: number): Value | null {
  const letter = text[start];
  if (letter === "T" || letter === "F") {
    return { truth: letter === "T", operators: 0, end: start + 1 };
  }
  if (letter === "!") {
    const value = readUnary(text, start + 1);
    return value && { ...value, truth: !value.truth, operators: value.operators + 1 };
  }
  const value = letter === "(" ? readBinary(text, start + 1) : null;
  return value !== null && text[value.end] === ")" ? { ...value, end: value.end + 1 } : null;
}

function apply(operator: string, left: boolean, right: boolean): boolean {
  if (operator === "&") return left && right;
  return operator === "|" ? left || right : left !== right;
}
