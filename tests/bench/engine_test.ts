import { deepEqual, equal, rejects, throws } from "node:assert/strict";
import { checkAgreement } from "../../bench/engine/agreement.ts";
import { type Measure, runRounds } from "../../bench/engine/measures.ts";
import { engineOptions } from "../../bench/engine/options.ts";
import { prepareModel } from "../../bench/engine/prepare.ts";
import {
  compare,
  type Comparison,
  type ModelReport,
  quotient,
  tableOf,
} from "../../bench/engine/report.ts";
import { v8Flags } from "../../kernels/mod.ts";
import { bytesPerToken, tinyDense, tinyMoe } from "../../bench/shapes.ts";
import type { EngineSubject } from "../../bench/engine/subject.ts";
import { summarise } from "../../bench/engine/summary.ts";
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
    decode: next,
    prefill: next,
    peakMemoryBytes: () => Promise.resolve(null),
    close: () => Promise.resolve(),
  };
}

/** A report of a dense F16 model. */
function report(fields: Partial<ModelReport>): ModelReport {
  return {
    ...{ model: "dense", dtype: "F16", comparisons: {}, agreement: null, gigabytesPerToken: 0.5 },
    rivalSystem: null,
    memory: { tandem: 700, rival: null, weights: 500, kv: 100, bound: 890 },
    ...fields,
  };
}

function comparison(tandem: number | null, rival: number): Comparison {
  const unmeasured = { rival_natural: null, ratio_natural: null, native: null };
  const bests = { tandem_best: tandem, rival_best: rival };
  return { tandem, rival, ratio: quotient(tandem, rival), ...bests, ...unmeasured };
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
  const natural = { ...subject("natural"), only: ["decode_b8"] };
  const measure = { ...prefillTwice(), repeats: 1 };
  const samples = await runRounds([ours, theirs, natural], [measure], 3, ignore);
  const engines = { tandem: ours, rival: theirs, natural };
  deepEqual(compare(samples, engines, { prefill_8: 12.34 }).prefill_8, {
    tandem: 20,
    rival: 10,
    rival_natural: null,
    ratio: 2,
    ratio_natural: null,
    tandem_best: 30,
    rival_best: 40,
    native: 12.3,
  });
  const alone = compare(samples, { tandem: null, rival: theirs, natural: null });
  equal(alone.prefill_8?.tandem, null);
  equal(alone.prefill_8?.ratio, null);
  const table = tableOf({ dense_f16: report({ comparisons: alone }) });
  deepEqual(table[1], ["dense_f16", "prefill_8", "-", "10", "-", "- / 40", "-", "-"]);
});

Deno.test("checkAgreement() forgives a close call only", async () => {
  const rival = (margin: number) => ({ sureToken: () => Promise.resolve({ token: 2, margin }) });
  const prompts = [[1, 2, 3]];
  const ours = { nextToken: () => Promise.resolve(1) };
  deepEqual(await checkAgreement(ours, rival(0.001), prompts), { agreed: 0, unsure: 1 });
  deepEqual(await checkAgreement(ours, rival(0.05), prompts, 0.1), { agreed: 0, unsure: 1 });
  await rejects(() => checkAgreement(ours, rival(0.05), prompts), /1 and 2/);
  deepEqual(await checkAgreement(null, rival(0.5), prompts), { agreed: 1, unsure: 0 });
});

Deno.test("engineOptions() reads what to measure and refuses what it does not know", () => {
  const read = (...args: string[]) => engineOptions({ args, quick: false, log: ignore });
  const chosen = read("--threads", "3", "--models", "moe_f16", "--measures", "decode_b8,decode_b1");
  equal(chosen.threads, 3);
  equal(chosen.rounds, 5);
  deepEqual(Object.keys(chosen.models), ["moe_f16"]);
  equal(chosen.v8Flags, v8Flags.join());
  equal(read("--v8-flags=--one,--two").v8Flags, "--one,--two");
  deepEqual([chosen.tandem, chosen.rival], [true, true]);
  deepEqual([read("--tandem-only").rival, read("--rival-only").tandem], [false, false]);
  deepEqual(chosen.measures.map(({ key }) => key), ["decode_b8", "decode_b1"]);
  throws(() => read("--measures", "decode_b9"), /decode_b9/);
  throws(() => read("--models", "constructor"), /constructor/);
  throws(() => read("--rounds", "0"), /--rounds.*: 0/);
  throws(() => read("--bogus"), /--bogus/);
});

Deno.test("engineOptions() quick is two rounds of tiny models", () => {
  const { rounds, models } = engineOptions({ args: [], quick: true, log: ignore });
  equal(rounds, 2);
  deepEqual(models.dense_q8_0, { shape: tinyDense, dtype: "Q8_0" });
});

Deno.test("prepareModel() writes once, and again when the file is missing", () =>
  withTemporaryFolder((folder) => {
    const lines: string[] = [];
    const model = { shape: tinyDense, dtype: "Q8_0" } as const;
    const prepare = () => prepareModel(model, (line) => lines.push(line), `${folder}/`);
    const path = prepare();
    prepare();
    equal(lines.length, 1);
    Deno.renameSync(path, `${path}.partial`);
    prepare();
    equal(lines.length, 2);
    deepEqual([...Deno.readDirSync(folder)].map(({ name }) => `${folder}/${name}`), [path]);
  }));

Deno.test("bytesPerToken() counts the experts that a token uses, and one row of embeddings", () => {
  const { dim, ffn, vocab, layers } = tinyDense;
  const attention = dim * (dim + dim + 2 * dim / 2);
  const matrices = layers * (attention + 3 * dim * ffn) + vocab * dim;
  equal(bytesPerToken({ shape: tinyDense, dtype: "F16" }), 2 * matrices);
  const router = 8 * dim;
  const mixed = layers * (attention + router + 2 * 3 * dim * tinyMoe.ffn) + vocab * dim;
  equal(bytesPerToken({ shape: tinyMoe, dtype: "Q8_0" }), mixed * 34 / 32);
});

Deno.test("summarise() gives rows by batch and prompt, and the least of every kind", () => {
  const figures = { decode_b1: comparison(20, 10), prefill_128: comparison(30, 60) };
  const f16 = report({ comparisons: { ...figures, prefill_512: comparison(40, 100) } });
  const q8 = report({
    ...{ model: "moe", dtype: "Q8_0", gigabytesPerToken: 0.25 },
    comparisons: { decode_b1: comparison(15, 10), decode_b8: comparison(null, 10) },
  });
  const { rows, ...least } = summarise([f16, q8], 20);
  equal(rows.length, 8);
  deepEqual(rows[0], {
    ...{ model: "dense", dtype: "F16", batch: 1, prompt: 128, prefill_ratio: 0.5 },
    ...{ decode_ratio: 2, decode_tok_s: 20, rival_decode_tok_s: 10 },
    ...{ bandwidth_fraction: 0.5, rss_mb: 700 },
  });
  deepEqual([rows[1]!.prompt, rows[1]!.prefill_ratio, rows[1]!.decode_ratio], [512, 0.4, null]);
  deepEqual(least, {
    min_decode_ratio_b1: 1.5,
    f16_decode_ratio_b1: 2,
    min_decode_ratio_b8: null,
    min_decode_ratio_b32: null,
    min_prefill_ratio: 0.4,
    min_bandwidth_fraction: 0.188,
  });
});
