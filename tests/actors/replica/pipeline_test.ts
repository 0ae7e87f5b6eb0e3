import assert from "node:assert/strict";
import { fakeText } from "./fake_model.ts";
import { Fleet, type FleetOptions, generate, prompts } from "./fleet.ts";

/** Generates 20 tokens after each of so many prompts; answers when each stage began its steps. */
async function schedule(sequences: number, options: FleetOptions): Promise<number[][]> {
  await using fleet = await Fleet.start(options);
  const stages = options.costsMs.length;
  const texts = await fleet.until(
    Promise.all(prompts(sequences).map((prompt) => generate(fleet.replicas[0]!, prompt, 20))),
  );
  assert.deepEqual(texts, prompts(sequences).map((prompt) => fakeText(stages, prompt, 20)));
  return Array.from(
    { length: stages },
    (_, stage) => fleet.log.filter((start) => start.stage === stage).map(({ at }) => at),
  );
}

const every = (ms: number, steps: number, from: number) =>
  Array.from({ length: steps }, (_, i) => from + i * ms);

Deno.test("Replica keeps all stages of equal cost at work", async () => {
  for (const stages of [1, 2, 3]) {
    const starts = await schedule(2 * stages, { costsMs: new Array(stages).fill(10) });
    starts.forEach((ofStage, stage) => {
      const steps = 20 * stages;
      assert.deepEqual(ofStage.slice(0, steps), every(10, steps, 10 * stage), `${stage}`);
    });
  }
});

Deno.test("Replica keeps the slowest stage at work", async () => {
  const [, slow, last] = await schedule(6, { costsMs: [10, 30, 20] });
  assert.deepEqual(slow!.slice(0, 40), every(30, 40, 10));
  assert.deepEqual(last!.slice(0, 40), every(30, 40, 40));
});

Deno.test("Replica of one micro-batch passes one step after another through its stages", async () => {
  const [first, last] = await schedule(4, { costsMs: [10, 20], args: { microBatches: 1 } });
  assert.deepEqual(first!.slice(0, 20), every(30, 20, 0));
  assert.deepEqual(last!.slice(0, 20), every(30, 20, 10));
});

Deno.test("Replica hides the network behind one more micro-batch", async () => {
  const slow = { costsMs: [10, 10], faults: { latencyMs: 5 } };
  const [first] = await schedule(6, slow);
  assert.equal(first![38]! - first![2]!, 18 * 30, "each of two needs 30 ms there and back");
  const [hidden] = await schedule(6, { ...slow, args: { microBatches: 3 } });
  assert.deepEqual(hidden!.slice(0, 60), every(10, 60, hidden![0]!));
});

Deno.test("Replica splits a single sequence's work over no more than one micro-batch", async () => {
  const [first, last] = await schedule(1, { costsMs: [10, 10] });
  assert.deepEqual([first, last], [every(20, 20, 0), every(20, 20, 10)]);
});
