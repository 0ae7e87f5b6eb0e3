import { deepEqual, equal, rejects, throws } from "node:assert/strict";
import { checkAgreement } from "../../bench/engine/agreement.ts";
import { type Measure, runRounds } from "../../bench/engine/measures.ts";
import { engineOptions } from "../../bench/engine/options.ts";
import { prepareModel } from "../../bench/engine/prepare.ts";
import { compare, tableOf } from "../../bench/engine/report.ts";
import { tinyDense } from "../../bench/engine/shapes.ts";
import type { EngineSubject } from "../../bench/engine/subject.ts";
import { withTemporaryFolder } from "./support.ts";

const ignore = () => {};

/** A subject whose rates are given in advance; it writes its name down at every run. */
function subject(name: string, rates: readonly number[] = [], runs: string[] = []): EngineSubject {
  const left = [...rates];
  const next = () => {
    runs.push(name);
    return Promise.resolve({ tokensPerSecond: left.shift() ?? 1 });
  };
  return {
    name,
    nextToken: () => Promise.resolve(1),
    decode: next,
    prefill: next,
    peakMemoryBytes: () => null,
    close: ignore,
  };
}

function prefillTwice(): Measure {
  return { key: "prefill_8", repeats: 2, run: (subject) => subject.prefill({ length: 8 }) };
}

Deno.test("runRounds() keeps the best run of a round and drops the first round", async () => {
  const one = subject("one", [99, 2, 5, 7, 3]);
  const samples = await runRounds([one], [prefillTwice()], 2, ignore);
  deepEqual(samples.get(one)?.get("prefill_8"), [5, 7]);
});

Deno.test("runRounds() changes the order of the subjects every round", async () => {
  const runs: string[] = [];
  const subjects = [subject("a", [], runs), subject("b", [], runs)];
  await runRounds(subjects, [{ ...prefillTwice(), repeats: 1 }], 2, ignore);
  deepEqual(runs, ["a", "b", "b", "a", "a", "b"]);
});

Deno.test("compare() gives medians, their ratio and null for an engine that did not run", async () => {
  const [ours, theirs] = [subject("ours", [0, 10, 30, 20]), subject("theirs", [0, 5, 10, 40])];
  const measure = { ...prefillTwice(), repeats: 1 };
  const samples = await runRounds([ours, theirs], [measure], 3, ignore);
  deepEqual(compare(samples, ours, theirs).prefill_8, {
    tandem: 20,
    rival: 10,
    ratio: 2,
    tandem_best: 30,
    rival_best: 40,
  });
  const alone = compare(samples, null, theirs);
  equal(alone.prefill_8?.tandem, null);
  equal(alone.prefill_8?.ratio, null);
  const peakBytes = { tandem: null, rival: null };
  const agreement = { agreed: 0, unsure: 0 };
  const table = tableOf({ dense_f16: { comparisons: alone, agreement, peakBytes } });
  deepEqual(table[1], ["dense_f16", "prefill_8", "-", "10", "-", "- / 40"]);
});

Deno.test("checkAgreement() forgives a close call only", async () => {
  const rival = (margin: number) => ({ sureToken: () => Promise.resolve({ token: 2, margin }) });
  const prompts = [[1, 2, 3]];
  deepEqual(await checkAgreement(subject("ours"), rival(0.001), prompts), { agreed: 0, unsure: 1 });
  await rejects(() => checkAgreement(subject("ours"), rival(0.5), prompts), /1 and 2/);
  deepEqual(await checkAgreement(null, rival(0.5), prompts), { agreed: 1, unsure: 0 });
});

Deno.test("engineOptions() reads what to measure and refuses what it does not know", () => {
  const read = (...args: string[]) => engineOptions({ args, quick: false, log: ignore });
  const chosen = read("--threads", "3", "--models", "moe_f16", "--measures", "decode_b8,decode_b1");
  equal(chosen.threads, 3);
  equal(chosen.rounds, 5);
  deepEqual(Object.keys(chosen.shapes), ["moe_f16"]);
  deepEqual(chosen.measures.map(({ key }) => key), ["decode_b8", "decode_b1"]);
  throws(() => read("--measures", "decode_b9"), /decode_b9/);
  throws(() => read("--models", "constructor"), /constructor/);
  throws(() => read("--rounds", "0"), /--rounds.*: 0/);
  throws(() => read("--bogus"), /--bogus/);
});

Deno.test("engineOptions() quick is two rounds of tiny models", () => {
  const { rounds, shapes } = engineOptions({ args: [], quick: true, log: ignore });
  equal(rounds, 2);
  equal(shapes.dense_f16, tinyDense);
});

Deno.test("prepareModel() writes once, and again when a part is missing", () =>
  withTemporaryFolder((folder) => {
    const lines: string[] = [];
    const prepare = () => prepareModel(tinyDense, (line) => lines.push(line), `${folder}/`);
    const { gguf, folder: model } = prepare();
    prepare();
    equal(lines.length, 1);
    Deno.removeSync(gguf);
    Deno.mkdirSync(`${model}.partial`);
    prepare();
    equal(lines.length, 2);
    deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name).toSorted(), [
      model.slice(folder.length + 1),
      gguf.slice(folder.length + 1),
    ]);
  }));
