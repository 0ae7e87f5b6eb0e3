import { type Agreement, checkAgreement } from "./agreement.ts";
import { runRounds } from "./measures.ts";
import { measureNative } from "./native.ts";
import type { EngineOptions } from "./options.ts";
import { prepareModel } from "./prepare.ts";
import { agreementPrompts } from "./prompts.ts";
import { compare, type Engines, type ModelReport, rounded } from "./report.ts";
import { LlamaCpp, NaturalLlamaCpp } from "./rival.ts";
import { type BenchModel, bytesPerToken, kvBytesPerToken } from "../shapes.ts";
import type { EngineSubject } from "./subject.ts";
import { limits } from "./tandem_limits.ts";
import { TandemProcess } from "./tandem_process.ts";

/**
 * Logits of random weights are narrow, and both engines round activations to 8 bits in their own ways
 * before they multiply them with Q8_0.
 */
const sureMargin = { F16: 0.02, Q8_0: 0.1 };

interface OpenEngines extends Engines {
  readonly tandem: TandemProcess | null;
  readonly rival: LlamaCpp | null;
  readonly natural: NaturalLlamaCpp | null;
}

/** Measures all engines on one model, in turn. */
export async function measureModel(
  key: string,
  model: BenchModel,
  options: EngineOptions,
  log: (line: string) => void,
): Promise<ModelReport> {
  const say = (line: string) => log(`${key}: ${line}`);
  const gguf = prepareModel(model, say);
  const native = options.native === undefined ? {} : await measureNative(gguf, {
    ...{ folder: options.native, threads: options.threads, rounds: options.rounds, log: say },
  });
  say("Loading");
  const engines = await openEngines(gguf, model, options);
  try {
    const agreement = await agreementOf(engines, model);
    const subjects = present(engines);
    const samples = await runRounds(subjects, options.measures, options.rounds, say);
    return {
      model: model.shape.experts === undefined ? "dense" : "moe",
      dtype: model.dtype,
      comparisons: compare(samples, engines, native),
      agreement,
      memory: await memoryOf(engines, gguf, model),
      rivalSystem: engines.rival?.system ?? null,
      gigabytesPerToken: bytesPerToken(model) / 1e9,
    };
  } finally {
    for (const subject of present(engines)) await subject.close();
  }
}

async function openEngines(
  gguf: string,
  { shape: { vocab } }: BenchModel,
  options: EngineOptions,
): Promise<OpenEngines> {
  const { threads, measures } = options;
  const natural = options.rival && measures.some(({ key }) => key === "decode_b8");
  const open: { -readonly [Key in keyof OpenEngines]: OpenEngines[Key] } = {
    ...{ tandem: null, rival: null, natural: null },
  };
  try {
    if (options.tandem) open.tandem = await TandemProcess.open(gguf, vocab, options);
    if (options.rival) open.rival = await LlamaCpp.open(gguf, vocab, threads);
    if (natural) open.natural = await NaturalLlamaCpp.open(gguf, vocab, threads);
    return open;
  } catch (error) {
    for (const subject of present(open)) await subject.close();
    throw error;
  }
}

function present({ tandem, rival, natural }: Engines): EngineSubject[] {
  return [tandem, rival, natural].filter((subject) => subject !== null);
}

async function agreementOf(
  { tandem, rival }: OpenEngines,
  { shape, dtype }: BenchModel,
): Promise<Agreement | null> {
  if (rival === null || tandem === null) return null;
  return await checkAgreement(tandem, rival, agreementPrompts(shape.vocab), sureMargin[dtype]);
}

async function memoryOf({ tandem, rival }: OpenEngines, gguf: string, { shape }: BenchModel) {
  const megabytes = (bytes: number | null) => rounded(bytes === null ? null : bytes / 1e6);
  const weights = Deno.statSync(gguf).size / 1e6;
  const kv = limits.pages * limits.pageSize * kvBytesPerToken(shape) / 1e6;
  return {
    tandem: megabytes(await tandem?.peakMemoryBytes() ?? null),
    rival: megabytes(await rival?.peakMemoryBytes() ?? null),
    weights: Math.round(weights),
    kv: Math.round(kv),
    bound: Math.round(1.15 * (weights + kv) + 200),
  };
}
