import { parseArgs } from "node:util";
import type { BenchOptions } from "../harness.ts";
import { type Measure, measures } from "./measures.ts";
import { dense, type ModelShape, moe, tinyDense, tinyMoe } from "./shapes.ts";

/** What to measure, on what. */
export interface EngineOptions {
  readonly threads: number;
  readonly rounds: number;
  readonly rivalOnly: boolean;
  readonly shapes: Readonly<Record<string, ModelShape>>;
  readonly measures: readonly Measure[];
}

const fullShapes = { dense_f16: dense, moe_f16: moe };
const tinyShapes = { dense_f16: tinyDense, moe_f16: tinyMoe };

/**
 * Reads `--threads N`, `--rounds N`, `--rival-only`, `--sizes tiny|full`, `--models KEY,...` and
 * `--measures KEY,...`. Throws on anything else.
 */
export function engineOptions({ args, quick }: BenchOptions): EngineOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      threads: { type: "string", default: String(navigator.hardwareConcurrency) },
      rounds: { type: "string", default: quick ? "2" : "5" },
      "rival-only": { type: "boolean", default: false },
      sizes: { type: "string", default: quick ? "tiny" : "full" },
      models: { type: "string" },
      measures: { type: "string" },
    },
  });
  const shapes = choose({ tiny: tinyShapes, full: fullShapes }, [values.sizes])[0]!;
  const byKey = Object.fromEntries(measures.map((measure) => [measure.key, measure]));
  const models = values.models?.split(",") ?? Object.keys(shapes);
  return {
    threads: positive("--threads", values.threads),
    rounds: positive("--rounds", values.rounds),
    rivalOnly: values["rival-only"],
    shapes: Object.fromEntries(models.map((key) => [key, choose({ ...shapes }, [key])[0]!])),
    measures: choose(byKey, values.measures?.split(",") ?? Object.keys(byKey)),
  };
}

function choose<Value>(from: Readonly<Record<string, Value>>, keys: readonly string[]): Value[] {
  return keys.map((key) => {
    const value = Object.hasOwn(from, key) ? from[key] : undefined;
    if (value !== undefined) return value;
    throw new Error(`Cannot measure ${key}: known are ${Object.keys(from).join(", ")}`);
  });
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`Cannot use ${option}, it takes a positive integer: ${text}`);
}
