import assert from "node:assert/strict";
import {
  type Calibration,
  CalibrationError,
  matchCalibration,
  parseCalibration,
} from "../../../actors/router/mod.ts";

const hash = (digit: string) => `sha256:${digit.repeat(64)}`;

const valid: Calibration = {
  version: 1,
  family: "zoo",
  signal: { kind: "quantile", q: 0 },
  levels: [
    { name: "small", model: hash("1"), threshold: -0.25, used: true },
    { name: "giant", model: hash("2"), threshold: null, used: true },
  ],
  fit: {
    items: 4000,
    tolerance: 0.0025,
    accuracy: { small: 0.8, giant: 0.9, cascade: 0.9 },
    visits: { small: 1, giant: 0.3 },
    cost: { cascade: 1, last: 2 },
  },
};

Deno.test("parseCalibration() reads what it should and refuses the rest in one line", () => {
  assert.deepEqual(parseCalibration(JSON.stringify(valid), "c.json"), valid);
  const broken: [string, RegExp][] = [
    ["{", /c\.json: not JSON$/],
    ["null", /version 1 expected: undefined$/],
    [JSON.stringify({ ...valid, version: 2 }), /version 1 expected: 2$/],
    [JSON.stringify({ ...valid, levels: [] }), /levels/],
    [JSON.stringify({ ...valid, extra: 1 }), /extra/],
    [JSON.stringify({ ...valid, signal: { kind: "quantile", q: 2 } }), /signal\.q/],
  ];
  for (const [text, message] of broken) {
    assert.throws(() => parseCalibration(text, "c.json"), (error: Error) => {
      assert(error instanceof CalibrationError);
      assert.match(error.message, message);
      assert(!error.message.includes("\n"));
      return true;
    });
  }
});

Deno.test("matchCalibration() refuses other models and other levels", () => {
  const served = [{ name: "small", model: hash("1") }, { name: "giant", model: hash("2") }];
  matchCalibration(valid, served, "c.json");
  assert.throws(
    () => matchCalibration(valid, [served[0]!, { name: "giant", model: hash("3") }], "c.json"),
    /level giant was fitted on another model: sha256:222/,
  );
  assert.throws(
    () => matchCalibration(valid, [served[1]!], "c.json"),
    /levels small, giant for levels: giant/,
  );
});
