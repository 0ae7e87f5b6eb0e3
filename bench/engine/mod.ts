import type { Bench, BenchOptions, BenchReport } from "../harness.ts";
import { measureMachine } from "../plain/mod.ts";
import { installRivals } from "../rivals/mod.ts";
import { type Agreement, checkAgreement } from "./agreement.ts";
import { measureModel } from "./model_run.ts";
import { type EngineOptions, engineOptions } from "./options.ts";
import { prepareRealModel, realPrompts } from "./real_model.ts";
import { type ModelReport, rounded, tableOf } from "./report.ts";
import { LlamaCpp } from "./rival.ts";
import { summarise } from "./summary.ts";
import { TandemProcess } from "./tandem_process.ts";

/** Decode and prefill of Tandem's CPU engine and of llama.cpp on the same GGUF files, in turn. */
export const bench: Bench = {
  name: "engine",
  description: "Tokens per second on the CPU against llama.cpp, same weights",
  run,
};

async function run(options: BenchOptions): Promise<BenchReport> {
  const chosen = engineOptions(options);
  if (chosen.rival) await installRivals(options.log);
  options.log("Measuring the read bandwidth of this machine");
  const machine = await measureMachine({ threads: chosen.threads });
  options.log("Comparing answers on a trained model");
  const realAgreement = await compareRealModel(chosen);
  const reports: Record<string, ModelReport> = {};
  for (const [key, model] of Object.entries(chosen.models)) {
    reports[key] = await measureModel(key, model, chosen, options.log);
  }
  const models = Object.entries(reports).map(([key, report]) => [key, jsonOf(report)]);
  return {
    table: tableOf(reports),
    json: {
      ...summarise(Object.values(reports), machine.readBandwidth),
      ...Object.fromEntries(models),
      real_model_agreement: realAgreement,
      read_bandwidth_gbs: rounded(machine.readBandwidth),
      rival_system: Object.values(reports)[0]?.rivalSystem ?? null,
      threads: chosen.threads,
      cpu: cpuModel(),
      rounds: chosen.rounds,
      v8_flags: chosen.v8Flags,
      shapes: Object.values(chosen.models).map(({ shape }) => shape.name),
    },
  };
}

function jsonOf({ comparisons, agreement, memory }: ModelReport): Record<string, unknown> {
  return { ...comparisons, agreement, memory_mb: memory };
}

async function compareRealModel(options: EngineOptions): Promise<Agreement | null> {
  const real = options.tandem && options.rival ? prepareRealModel() : null;
  if (real === null) return null;
  const rival = await LlamaCpp.open(real.gguf, real.vocab, options.threads);
  try {
    const tandem = await TandemProcess.open(real.gguf, real.vocab, options);
    try {
      return await checkAgreement(tandem, rival, realPrompts);
    } finally {
      await tandem.close();
    }
  } finally {
    await rival.close();
  }
}

function cpuModel(): string | null {
  try {
    return /^model name\s*:\s*(.+)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? null;
  } catch {
    return null;
  }
}
