import assert from "node:assert/strict";
import {
  compare,
  evaluate,
  EvaluationError,
  type EvaluationRecord,
  formatDifference,
  formatScores,
  type Outcome,
} from "../../../../examples/zoo/evaluation/mod.ts";
import { sharedTest } from "../../../support/shared.ts";

const records: EvaluationRecord[] = [
  record("addsub", 1, { small: "2", giant: "2", cascade: "2" }, "small"),
  record("addsub", 2, { small: "3", giant: "2", cascade: "2" }, "giant"),
  record("max", 2, { small: "2", giant: "3", cascade: "2" }, "small"),
  record("max", 2, { small: "3", giant: "3", cascade: "3" }, "giant"),
];

Deno.test("evaluate() counts exact matches per system, task and difficulty", () => {
  const [small, giant, cascade] = evaluate(records);
  assert.equal(small!.overall.share, 0.5);
  assert.deepEqual([giant!.system, giant!.overall.correct, giant!.overall.total], ["giant", 2, 4]);
  assert.deepEqual(cascade!.byTask.map(summary), [["addsub", null, 2, 2], ["max", null, 1, 2]]);
  assert.deepEqual(cascade!.byDifficulty.map(summary), [[null, 1, 1, 1], [null, 2, 2, 3]]);
  assert.deepEqual(cascade!.byTaskAndDifficulty.map(summary), [
    ["addsub", 1, 1, 1],
    ["addsub", 2, 1, 1],
    ["max", 2, 1, 2],
  ]);
  assert.deepEqual(cascade!.answeredBy, { small: 0.5, giant: 0.5 });
  assert.deepEqual([cascade!.meanTokens, small!.meanTokens], [3, null]);
  assert.deepEqual(small!.answeredBy, {});
});

Deno.test("evaluate() believes an outcome that says whether it is correct", () => {
  const [score] = evaluate([{ ...records[0]!, outcomes: { a: { answer: "2", correct: false } } }]);
  assert.equal(score!.overall.correct, 0);
});

Deno.test("evaluate() refuses no records and skipped items", () => {
  assert.throws(() => evaluate([]), code("no_records"));
  const skipped = [records[0]!, { ...records[1]!, outcomes: {} }];
  assert.throws(() => evaluate(skipped), code("missing_outcome"));
  assert.throws(() => compare(skipped, "cascade", "giant"), code("missing_outcome"));
});

Deno.test("compare() pairs the answers item by item", () => {
  const difference = compare(records, "cascade", "giant");
  assert.deepEqual(difference.counts, { both: 2, onlyFirst: 1, onlySecond: 0, neither: 1 });
  assert.equal(difference.difference, 0.25);
  assert.ok(difference.low < 0.25 && difference.high > 0.25);
  assert.match(formatDifference(difference), /^cascade − giant: \+25\.00 points, 95 % −\d/);
});

Deno.test("formatScores() gives every system a column and every group a row", () => {
  const lines = formatScores(evaluate(records)).split("\n");
  assert.match(lines[0]!, /^ +items +small +giant +cascade$/);
  assert.match(lines[1]!, /^all +4 +50\.0 \(15\.0–85\.0\) +50\.0 .* +75\.0 \(30\.1–95\.4\)$/);
  assert.deepEqual(
    lines.slice(2, 6).map((line) => line.split(/ {2,}/)[0]),
    ["difficulty 1", "difficulty 2", "addsub", "max"],
  );
  assert.equal(lines[6], "cascade: 3.00 tokens an item; answered by small 50.0 %, giant 50.0 %");
  assert.equal(new Set(lines.slice(0, 6).map((line) => line.length)).size, 1);
});

sharedTest("evaluate() scores the recorded answers as published", "models/zoo", (folder) => {
  const lines = Deno.readTextFileSync(`${folder}/test.jsonl`).trimEnd().split("\n");
  const recorded = lines.map((line) => JSON.parse(line)).map((item): EvaluationRecord => ({
    ...item,
    outcomes: { small: answer(item.small), medium: answer(item.medium), giant: answer(item.giant) },
  }));
  const scores = evaluate(recorded);
  assert.deepEqual(scores.map((score) => score.overall.correct), [1651, 1587, 1806]);
  const hardest = scores.map((score) => score.byDifficulty.at(-1)!.accuracy.share.toFixed(3));
  assert.deepEqual(hardest, ["0.598", "0.619", "0.736"]);
  assert.ok(compare(recorded, "small", "giant").high < 0);
});

function record(
  task: string,
  difficulty: number,
  answers: Record<string, string>,
  level: string,
): EvaluationRecord {
  const outcomes = Object.entries(answers).map(([system, answer]): [string, Outcome] => [
    system,
    system === "cascade" ? { answer, level, tokens: 3 } : { answer },
  ]);
  return { prompt: "1+1=", answer: "2", task, difficulty, outcomes: Object.fromEntries(outcomes) };
}

function summary(
  group: ReturnType<typeof evaluate>[number]["byTask"][number],
): [string | null, number | null, number, number] {
  return [group.task, group.difficulty, group.accuracy.correct, group.accuracy.total];
}

function answer({ answer }: { answer: string }): Outcome {
  return { answer };
}

function code(expected: string): (error: unknown) => boolean {
  return (error) => error instanceof EvaluationError && error.code === expected;
}
