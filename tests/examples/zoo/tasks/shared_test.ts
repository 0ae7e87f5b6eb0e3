import assert from "node:assert/strict";
import { describe, generate, type Item, splitOf } from "../../../../examples/zoo/tasks/mod.ts";
import { sharedTest } from "../../../support/shared.ts";

const zoo = "models/zoo";

sharedTest("splitOf() is the split of all 6,000 recorded items", zoo, (folder) => {
  for (const split of ["test", "calibration"] as const) {
    for (const item of readItems(`${folder}/${split}.jsonl`)) {
      assert.equal(splitOf(item.prompt), split, item.prompt);
    }
  }
});

sharedTest("describe() reads all 6,000 recorded items as labelled", zoo, (folder) => {
  const items = recorded(folder);
  assert.equal(items.length, 6000);
  for (const { prompt, task, difficulty, answer } of items) {
    const easiest = task === "date" && difficulty === 2 && answer.startsWith(prompt.slice(0, 3));
    const expected = { task, difficulty: easiest ? 1 : difficulty, answer };
    assert.deepEqual(describe(prompt), expected, prompt);
  }
});

sharedTest("generate() draws tasks, difficulties and forms as recorded", zoo, (folder) => {
  const items = recorded(folder);
  const drawn = [
    ...generate({ split: "test", count: 2000, seed: 21 }),
    ...generate({ split: "calibration", count: 4000, seed: 22 }),
  ];
  assertAlike(items, drawn, (item) => `${item.task} ${item.difficulty}`);
  assertAlike(items, drawn, form);
  assertAlike(items, drawn, (item) => `${item.task} ${item.difficulty} ${item.prompt.length >> 1}`);
  assertAlike(items, drawn, (item) => `${item.task} ${item.answer.slice(0, 1)}`);
});

/** A prompt's shape: lengths of its numbers and words, operators; letters and digits blotted out. */
function form({ task, prompt }: Item): string {
  if (task === "bool") return "bool";
  if (task === "date") return prompt.slice(0, 3);
  if (task === "unit") return prompt.replace(/\d+/g, "9");
  if (task === "count") return prompt.slice(0, 7);
  if (task === "sort") return `sort ${alike(prompt)}`;
  return prompt.replace(/\d/g, "9").replace(/[IVXLCDM]+/, "I").replace(/ [a-z]+/, " word");
}

function alike(prompt: string): string {
  const initials = prompt.slice(5).split(" ").map((word) => word[0]);
  return `${new Set(initials).size} of ${initials.length}`;
}

/** Asks of two samples that a chi-square test of homogeneity does not tell them apart at 1e-4. */
function assertAlike(a: readonly Item[], b: readonly Item[], key: (item: Item) => string): void {
  const [left, right] = [tally(a, key), tally(b, key)];
  const keys = new Set([...left.keys(), ...right.keys()]);
  const cells = [...keys].map((cell) => [left.get(cell) ?? 0, right.get(cell) ?? 0] as const);
  const large = cells.filter(([x, y]) => x + y >= 20);
  const chiSquare = large.reduce((sum, [x, y]) => sum + (x - y) ** 2 / (x + y), 0);
  const limit = quantile(large.length - 1, 3.719);
  const worst = [...keys].filter((cell) => differ(left.get(cell) ?? 0, right.get(cell) ?? 0));
  assert.ok(chiSquare < limit, `${chiSquare} of ${limit} on ${large.length} cells: ${worst}`);
}

function differ(x: number, y: number): boolean {
  return x + y >= 20 && (x - y) ** 2 / (x + y) > 9;
}

/** A quantile of chi-square by Wilson and Hilferty, `z` that of the normal distribution. */
function quantile(degrees: number, z: number): number {
  const spread = 2 / (9 * degrees);
  return degrees * (1 - spread + z * Math.sqrt(spread)) ** 3;
}

function tally(items: readonly Item[], key: (item: Item) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1);
  return counts;
}

function recorded(folder: string): Item[] {
  return [...readItems(`${folder}/test.jsonl`), ...readItems(`${folder}/calibration.jsonl`)];
}

function readItems(path: string): Item[] {
  return Deno.readTextFileSync(path).trimEnd().split("\n").map((line) => JSON.parse(line));
}
