import assert from "node:assert/strict";
import {
  describe,
  generate,
  type Item,
  solve,
  splitOf,
  SPLITS,
  TASK_NAMES,
  TaskError,
} from "../../../../examples/zoo/tasks/mod.ts";

const contextTokens = 96;

Deno.test("generate() makes items that solve() answers, in bounds, in their split", () => {
  for (const split of SPLITS) {
    for (const item of generate({ split, count: 7000, seed: 11 })) {
      assert.equal(solve(item.prompt), item.answer, item.prompt);
      assert.equal(splitOf(item.prompt), split, item.prompt);
      assert.match(item.prompt + item.answer, /^[ -~]+=[ -~]+$/);
      const withBosAndEos = item.prompt.length + item.answer.length + 2;
      assert.ok(withBosAndEos <= contextTokens, item.prompt);
    }
  }
});

Deno.test("generate() labels what describe() reads", () => {
  for (const item of generate({ split: "train", count: 20_000, seed: 5 })) {
    const read = describe(item.prompt)!;
    assert.equal(read.task, item.task, item.prompt);
    if (read.difficulty === item.difficulty) continue;
    const stepInMonth = item.task === "date" && item.difficulty === 2 && read.difficulty === 1;
    assert.ok(stepInMonth, item.prompt);
  }
});

Deno.test("generate() gives the same items for the same seed, others for another", () => {
  const options = { split: "calibration", count: 500 } as const;
  const items = generate({ ...options, seed: 2 ** 40 + 3 });
  assert.deepEqual(generate({ ...options, seed: 2 ** 40 + 3 }), items);
  const shared = (seed: number) => overlap(items, generate({ ...options, seed }));
  assert.ok(shared(4) < 150, String(shared(4)));
  assert.deepEqual(generate({ ...options, seed: 2 ** 40 + 3, count: 100 }), items.slice(0, 100));
});

Deno.test("generate() never repeats a calibration or test prompt", () => {
  for (const split of ["calibration", "test"] as const) {
    const items = generate({ split, count: 6000, seed: 3 });
    assert.equal(new Set(items.map((item) => item.prompt)).size, items.length);
  }
});

Deno.test("generate() draws every task at every difficulty", () => {
  const items = generate({ split: "train", count: 20_000, seed: 9 });
  const cells = new Set(items.map((item) => `${item.task} ${item.difficulty}`));
  assert.equal(cells.size, TASK_NAMES.length * 4);
});

Deno.test("generate() draws difficulties by their weights", () => {
  const shares = difficultyShares({ split: "train", count: 20_000, seed: 9 });
  [0.25, 0.3, 0.25, 0.2].forEach((share, i) => assert.ok(Math.abs(shares[i]! - share) < 0.02));
  const easy = difficultyShares({
    split: "train",
    count: 20_000,
    seed: 9,
    difficulties: [7, 3, 0, 0],
  });
  assert.ok(Math.abs(easy[0]! - 0.7) < 0.02);
  assert.equal(easy[2]! + easy[3]!, 0);
});

Deno.test("generate() refuses bad options with the value that broke it", () => {
  const good = { split: "test", count: 1, seed: 1 } as const;
  const bad = [
    [{ ...good, split: "dev" }, /split .*: dev$/],
    [{ ...good, count: -1 }, /count .*: -1$/],
    [{ ...good, count: 1.5 }, /count .*: 1\.5$/],
    [{ ...good, seed: NaN }, /seed .*: NaN$/],
    [{ ...good, difficulties: [0, 0, 0, 0] }, /difficulties .*: 0,0,0,0$/],
    [{ ...good, difficulties: [1, -1, 0, 0] }, /difficulties .*: 1,-1,0,0$/],
  ] as const;
  for (const [options, message] of bad) {
    assert.throws(
      () => generate(options as Parameters<typeof generate>[0]),
      (error: unknown) =>
        error instanceof TaskError && error.code === "invalid_option" &&
        message.test(error.message),
    );
  }
});

Deno.test("solve() answers each form and refuses what no task asks", () => {
  const answers: Record<string, string> = {
    "7350+7994=": "15344",
    "9-9=": "0",
    "699*6=": "4194",
    "max 2787 2779 2715=": "2787",
    "min 3 10=": "3",
    "sort hand dawn bell=": "bell dawn hand",
    "reverse gasiti=": "itisag",
    "count e in eeaikeemat=": "4",
    "Aug 4+19d=": "Aug 23",
    "Dec 31+365d=": "Dec 31",
    "Feb 28+1d=": "Mar 1",
    "roman 982=": "CMLXXXII",
    "int XIV=": "14",
    "(T&F)^!T=": "F",
    "3421cm to mm=": "34210",
    "66184ml to l=": "66.184",
    "120min to s=": "7200",
    "233min to h=": "3h53m",
    "14h2m to min=": "842",
  };
  for (const [prompt, answer] of Object.entries(answers)) assert.equal(solve(prompt), answer);
  const foreign = [
    "",
    "=",
    "1+1",
    "3-5=",
    "Feb 30+1d=",
    "Feb 3+366d=",
    "Feb 3+0d=",
    "int IIII=",
    "int MMMM=",
    "roman 4000=",
    "T&F|T=",
    "(T=",
    "sort hand=",
    "sort hand xyzzy=",
    "5kg to m=",
    "3h60m to min=",
    "999*99=",
    "!".repeat(200) + "T=",
  ];
  for (const prompt of foreign) assert.equal(solve(prompt), null, prompt);
});

function overlap(a: readonly Item[], b: readonly Item[]): number {
  const prompts = new Set(a.map((item) => item.prompt));
  return b.filter((item) => prompts.has(item.prompt)).length;
}

function difficultyShares(options: Parameters<typeof generate>[0]): number[] {
  const items = generate(options);
  return [1, 2, 3, 4].map((level) =>
    items.filter((item) => item.difficulty === level).length / items.length
  );
}
