import type { Bench, BenchOptions, BenchReport } from "../harness.ts";
import { installRivals } from "../rivals/mod.ts";
import { type Agreement, checkAgreement } from "./agreement.ts";
import { runRounds } from "./measures.ts";
import { type EngineOptions, engineOptions } from "./options.ts";
import { prepareModel } from "./prepare.ts";
import { agreementPrompts } from "./prompts.ts";
import { prepareRealModel, realPrompts } from "./real_model.ts";
import { compare, jsonOf, type ModelReport, tableOf } from "./report.ts";
import { LlamaCpp } from "./rival.ts";
import type { ModelShape } from "./shapes.ts";
import type { TandemModule } from "./subject.ts";

/** Decode and prefill of Tandem's CPU engine and of llama.cpp on the same F16 weights, in turn. */
export const bench: Bench = {
  name: "engine",
  description: "Tokens per second on the CPU against llama.cpp, same weights",
  run,
};

async function run(options: BenchOptions): Promise<BenchReport> {
  const chosen = engineOptions(options);
  await installRivals(options.log);
  const tandem = chosen.rivalOnly ? null : await loadTandem();
  const bandwidth = await tandem?.measureReadBandwidth?.({ threads: chosen.threads }) ?? null;
  options.log("Comparing answers on a trained model");
  const realAgreement = await compareRealModel(chosen.threads, tandem);
  const reports: Record<string, ModelReport> = {};
  for (const [key, shape] of Object.entries(chosen.shapes)) {
    reports[key] = await measureModel(shape, chosen, tandem, options.log);
  }
  const models = Object.entries(reports).map(([key, report]) => [key, jsonOf(report)]);
  return {
    table: tableOf(reports),
    json: {
      ...Object.fromEntries(models),
      real_model_agreement: realAgreement,
      read_bandwidth_gbs: bandwidth,
      threads: chosen.threads,
      cpu: cpuModel(),
      rounds: chosen.rounds,
      shapes: Object.values(chosen.shapes).map((shape) => shape.name),
    },
  };
}

async function measureModel(
  shape: ModelShape,
  { threads, rounds, measures }: EngineOptions,
  tandemModule: TandemModule | null,
  log: (line: string) => void,
): Promise<ModelReport> {
  const { folder, gguf } = prepareModel(shape, log);
  log(`Loading ${shape.name}`);
  const rival = await LlamaCpp.open(gguf, shape.vocab, threads);
  const tandem = await tandemModule?.openTandem(folder, { threads }) ?? null;
  try {
    const agreement = await checkAgreement(tandem, rival, agreementPrompts(shape.vocab));
    const subjects = tandem === null ? [rival] : [tandem, rival];
    const samples = await runRounds(subjects, measures, rounds, log);
    const peakBytes = {
      tandem: await tandem?.peakMemoryBytes() ?? null,
      rival: await rival.peakMemoryBytes(),
    };
    return { comparisons: compare(samples, tandem, rival), agreement, peakBytes };
  } finally {
    await rival.close();
    await tandem?.close();
  }
}

async function compareRealModel(
  threads: number,
  tandemModule: TandemModule | null,
): Promise<Agreement | null> {
  const real = prepareRealModel();
  if (real === null) return null;
  const rival = await LlamaCpp.open(real.prepared.gguf, real.vocab, threads);
  const tandem = await tandemModule?.openTandem(real.prepared.folder, { threads }) ?? null;
  try {
    return await checkAgreement(tandem, rival, realPrompts);
  } finally {
    await rival.close();
    await tandem?.close();
  }
}

/** Tandem's half is looked up when it runs, so that the rival can be measured without it. */
function loadTandem(): Promise<TandemModule> {
  return import(new URL("./tandem.ts", import.meta.url).href);
}

function cpuModel(): string | null {
  try {
    return /^model name\s*:\s*(.+)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? null;
  } catch {
    return null;
  }
}
