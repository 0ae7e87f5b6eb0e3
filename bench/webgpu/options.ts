import { parseArgs } from "node:util";
import type { GpuProvider } from "../../kernels/mod.ts";
import type { BenchOptions } from "../harness.ts";
import { type GpuModel, models, tinyModels } from "./models.ts";

/** What to measure. */
export interface GpuBenchOptions {
  readonly provider: GpuProvider;
  /** No model is begun after so many seconds. */
  readonly seconds: number;
  /** What was asked for; absent = what suits the adapter. */
  readonly models?: readonly GpuModel[];
  readonly phases: readonly Phase[];
  /** Steps that are timed, unless they take long. */
  readonly steps: number;
  /** Tokens that a sequence holds when its decoding is timed. */
  readonly context: number;
}

/** A kind of step. */
export interface Phase {
  readonly name: "decode" | "prefill";
  /** Sequences of a decode, tokens of a prefill. */
  readonly rows: number;
  /** Decodes that are asked for in one; 1 by default. */
  readonly rounds?: number;
}

/** The most telling first. */
const phases: readonly Phase[] = [
  { name: "decode", rows: 1 },
  { name: "decode", rows: 1, rounds: 4 },
  { name: "prefill", rows: 512 },
  { name: "decode", rows: 8 },
  { name: "decode", rows: 32 },
  { name: "prefill", rows: 128 },
  { name: "prefill", rows: 2048 },
];

const quickPhases: readonly Phase[] = [
  { name: "decode", rows: 1 },
  { name: "decode", rows: 1, rounds: 2 },
  { name: "prefill", rows: 64 },
];

/** The same with less to do, for an adapter that computes on the CPU. */
export function onSoftware(options: GpuBenchOptions): GpuBenchOptions {
  return {
    ...options,
    steps: Math.min(options.steps, 2),
    phases: options.phases.filter(({ name, rows }) => rows <= (name === "decode" ? 8 : 512)),
  };
}

/** Reads `--provider deno|dawn`, `--seconds N` and `--models NAME:DTYPE,...`. Throws on anything else. */
export function gpuBenchOptions({ args, quick }: BenchOptions): GpuBenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      provider: { type: "string", default: "deno" },
      seconds: { type: "string", default: "600" },
      models: { type: "string" },
    },
  });
  const { provider } = values;
  if (provider !== "deno" && provider !== "dawn") {
    throw new Error(`Cannot use --provider, it takes deno or dawn: ${provider}`);
  }
  const seconds = Number(values.seconds);
  if (!(seconds > 0)) {
    throw new Error(`Cannot use --seconds, it takes a positive number: ${values.seconds}`);
  }
  const chosen = values.models?.split(",").map(modelOf) ?? (quick ? tinyModels : undefined);
  const effort = quick
    ? { phases: quickPhases, steps: 2, context: 32 }
    : { phases, steps: 24, context: 512 };
  return { provider, seconds, ...effort, ...(chosen && { models: chosen }) };
}

function modelOf(name: string): GpuModel {
  const known = [...models, ...tinyModels];
  const found = known.find(({ shape, dtype }) => `${shape.name}:${dtype}` === name);
  if (found) return found;
  const names = known.map(({ shape, dtype }) => `${shape.name}:${dtype}`);
  throw new Error(`Cannot measure ${name}: known are ${names.join(", ")}`);
}
