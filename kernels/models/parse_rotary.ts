import { KernelError } from "../errors.ts";
import { quote } from "../quote.ts";
import type { Config } from "./config.ts";
import type { RotaryScaling } from "./spec.ts";

type ScalingConfig = NonNullable<Config["rope_scaling"]>;

/** Reads `rope_parameters`, or the older `rope_scaling`. */
export function parseScaling(config: Config): RotaryScaling {
  const scaling = config.rope_parameters ?? config.rope_scaling;
  const kind = scaling?.rope_type ?? scaling?.type ?? "default";
  if (!scaling || kind === "default") return { kind: "default" };
  if (kind === "linear") return { kind, factor: number(scaling, kind, "factor") };
  if (kind === "llama3") return parseLlama3(scaling);
  throw new KernelError(
    "Unsupported",
    `Cannot serve rope_type (known: default, linear, llama3): ${quote(kind)}`,
  );
}

function parseLlama3(scaling: ScalingConfig): RotaryScaling {
  const kind = "llama3";
  const low = number(scaling, kind, "low_freq_factor");
  const high = number(scaling, kind, "high_freq_factor");
  if (low >= high) {
    throw new KernelError(
      "InvalidModel",
      `Cannot read low_freq_factor that is not below high_freq_factor ${high}: ${low}`,
    );
  }
  return {
    kind,
    factor: number(scaling, kind, "factor"),
    lowFrequencyFactor: low,
    highFrequencyFactor: high,
    originalPositions: number(scaling, kind, "original_max_position_embeddings"),
  };
}

function number(scaling: ScalingConfig, kind: string, field: string): number {
  const value = scaling[field];
  if (typeof value === "number") return value;
  throw new KernelError("InvalidModel", `Cannot find field of rope_type ${kind}: ${field}`);
}
