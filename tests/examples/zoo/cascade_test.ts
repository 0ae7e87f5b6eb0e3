import assert from "node:assert/strict";
import { fitCalibration, parseItems } from "../../../actors/node/mod.ts";
import { escalationRate, evaluateFamily } from "../../../examples/zoo/eval.ts";
import { accuracyOf, type EvaluationRecord } from "../../../examples/zoo/evaluation/mod.ts";
import { startFamily } from "../../actors/node/support.ts";
import { sharedTest } from "../../support/shared.ts";

const names = ["small", "medium", "giant"];

interface Recorded {
  readonly prompt: string;
  readonly answer: string;
  readonly [level: string]: unknown;
}

function readItems(zoo: string, file: string): Recorded[] {
  return parseItems(Deno.readTextFileSync(`${zoo}/${file}.jsonl`), file) as unknown as Recorded[];
}

/** Fits a calibration on the calibration items and answers the test items with it. */
async function calibrateAndAnswer(zoo: string): Promise<EvaluationRecord[]> {
  const levels = names.map((name) => ({ name, model: `${zoo}/${name}` }));
  const calibration = await Deno.makeTempFile();
  const uncalibrated = await startFamily(levels);
  try {
    const fitted = await fitCalibration(uncalibrated, {
      family: "family",
      items: readItems(zoo, "calibration"),
      tolerance: 0.0025,
      q: 0,
      concurrency: 64,
      progress: () => {},
    });
    assert.deepEqual(
      fitted.levels.map(({ used }) => used),
      [true, false, true],
      "the medium does not pay",
    );
    await Deno.writeTextFile(calibration, JSON.stringify(fitted));
  } finally {
    await uncalibrated.close();
  }
  const node = await startFamily(levels, { calibration });
  try {
    return await evaluateFamily(node, "family", readItems(zoo, "test"), 64);
  } finally {
    await node.close();
    await Deno.remove(calibration);
  }
}

sharedTest(
  "the zoo answers as recorded, and its cascade as well as its giant",
  "models/zoo",
  async (zoo, t) => {
    const records = await calibrateAndAnswer(zoo);
    const recorded = readItems(zoo, "test");
    for (const name of names) {
      await t.step(`${name} agrees with at least 1,995 of 2,000 recorded answers`, () => {
        const agreeing = records.filter(({ outcomes }, i) =>
          outcomes[name]!.answer === (recorded[i]![name] as { answer: string }).answer
        ).length;
        assert(agreeing >= 1995, `${agreeing} of ${records.length} agree`);
      });
    }
    await t.step("the cascade is within 0.5 points of the giant", () => {
      const [cascade, giant] = ["cascade", "giant"].map((system) =>
        accuracyOf(records, system).share
      );
      assert(cascade! >= giant! - 0.005, `cascade ${cascade}, giant ${giant}`);
    });
    await t.step("at most 35 % of the requests reach the giant", () => {
      const rate = escalationRate(records, "giant");
      assert(rate <= 0.35, `${rate} escalated`);
    });
  },
);
