import { parseArgs } from "node:util";
import { v8Flags } from "../../kernels/mod.ts";
import type { BenchOptions } from "../harness.ts";
import { type Measure, measures } from "./measures.ts";
import { type BenchModel, dense, moe, tinyDense, tinyMoe } from "../shapes.ts";

/** What to measure, on what. */
export interface EngineOptions {
  readonly threads: number;
  readonly rounds: number;
  /** Whether each engine runs. */
  readonly tandem: boolean;
  readonly rival: boolean;
  /** Flags for V8 in Tandem's process; empty = none. */
  readonly v8Flags: string;
  /** Folder of native `llama-bench` and `llama-batched-bench`. */
  readonly native?: string;
  readonly models: Readonly<Record<string, BenchModel>>;
  readonly measures: readonly Measure[];
}

const fullModels = modelsOf({ dense, moe });
const tinyModels = modelsOf({ dense: tinyDense, moe: tinyMoe });
/** A mixture of experts in F16 is 2 GB: measured when asked for. */
const defaultModels = "dense_f16,dense_q8_0,moe_q8_0";

function modelsOf({ dense, moe }: Record<"dense" | "moe", BenchModel["shape"]>) {
  return {
    dense_f16: { shape: dense, dtype: "F16" },
    dense_q8_0: { shape: dense, dtype: "Q8_0" },
    moe_q8_0: { shape: moe, dtype: "Q8_0" },
    moe_f16: { shape: moe, dtype: "F16" },
  } as const;
}

/**
 * Reads `--threads N`, `--rounds N`, `--rival-only`, `--tandem-only`, `--sizes tiny|full`,
 * `--models KEY,...`, `--measures KEY,...`, `--v8-flags=FLAGS` (by default those of the tasks) and `--native DIR`.
 * Throws on anything else.
 */
export function engineOptions({ args, quick }: BenchOptions): EngineOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      threads: { type: "string", default: String(navigator.hardwareConcurrency) },
      rounds: { type: "string", default: quick ? "2" : "5" },
      "rival-only": { type: "boolean", default: false },
      "tandem-only": { type: "boolean", default: false },
      sizes: { type: "string", default: quick ? "tiny" : "full" },
      models: { type: "string", default: defaultModels },
      measures: { type: "string" },
      "v8-flags": { type: "string", default: v8Flags.join() },
      native: { type: "string" },
    },
  });
  const models = choose({ tiny: tinyModels, full: fullModels }, [values.sizes])[0]!;
  const byKey = Object.fromEntries(measures.map((measure) => [measure.key, measure]));
  return {
    threads: positive("--threads", values.threads),
    rounds: positive("--rounds", values.rounds),
    tandem: !values["rival-only"],
    rival: !values["tandem-only"],
    v8Flags: values["v8-flags"],
    ...(values.native !== undefined && { native: values.native }),
    models: Object.fromEntries(
      values.models.split(",").map((key) => [key, choose<BenchModel>(models, [key])[0]!]),
    ),
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
