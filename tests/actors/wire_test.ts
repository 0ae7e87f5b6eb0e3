import assert from "node:assert/strict";
import { fromWire, toWire } from "../../actors/wire.ts";

Deno.test("toWire() leaves float32 as it is, and rounds to halves that stay finite", () => {
  const values = Float32Array.of(0, -1.5, 1 / 3, 70_000, -1e9);
  assert.equal(toWire(values, "f32"), values);
  const halves = toWire(values, "f16");
  assert.deepEqual(halves, Float16Array.of(0, -1.5, 1 / 3, 65504, -65504));
  assert.deepEqual(fromWire(halves), Float32Array.from(halves));
  assert.equal(fromWire(values), values);
});
