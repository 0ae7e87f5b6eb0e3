import type { EngineSubject, Rate } from "./subject.ts";

/** One thing to time on an engine. */
export interface Measure {
  readonly key: string;
  /**
   * Runs in a round, of which the best counts: a kernel may start both threads of a short run on one
   * core, which halves its rate.
   */
  readonly repeats: number;
  run(subject: EngineSubject): Promise<Rate>;
}

/** Tokens in the cache when decoding begins. */
export const promptTokens = 128;

/** The last id of a prompt is the first to be computed: one more than lie in the cache. */
const decode = (batch: number, tokens: number, repeats: number): Measure => ({
  key: `decode_b${batch}`,
  repeats,
  run: (subject) => subject.decode({ batch, promptLength: promptTokens + 1, tokens }),
});

const prefill = (length: number, repeats: number): Measure => ({
  key: `prefill_${length}`,
  repeats,
  run: (subject) => subject.prefill({ length }),
});

/** All measures, in the order of the report. */
export const measures: readonly Measure[] = [
  decode(1, 24, 2),
  decode(8, 12, 2),
  decode(32, 6, 2),
  prefill(128, 2),
  prefill(512, 1),
];

/** Tokens per second of every subject, by measure, one sample a round. */
export type Samples = Map<EngineSubject, Map<string, number[]>>;

/**
 * Runs all measures on all subjects in turn, in the reverse order of subjects every other round, so
 * that none always runs on a warmer machine. A first round is not counted.
 */
export async function runRounds(
  subjects: readonly EngineSubject[],
  chosen: readonly Measure[],
  rounds: number,
  log: (line: string) => void,
): Promise<Samples> {
  const samples: Samples = new Map(
    subjects.map((s) => [s, new Map(chosen.filter(runsOn(s)).map((m) => [m.key, []]))]),
  );
  for (let round = 0; round <= rounds; round++) {
    const order = round % 2 === 0 ? subjects : subjects.toReversed();
    for (const measure of chosen) {
      for (const subject of order.filter((subject) => runsOn(subject)(measure))) {
        const rate = await bestRate(measure, subject, round === 0 ? 1 : measure.repeats);
        if (round > 0) samples.get(subject)!.get(measure.key)!.push(rate);
      }
    }
    log(round === 0 ? "Warmed up" : `Round ${round} of ${rounds}`);
  }
  return samples;
}

function runsOn({ only }: EngineSubject): (measure: Measure) => boolean {
  return ({ key }) => only === undefined || only.includes(key);
}

async function bestRate(measure: Measure, subject: EngineSubject, runs: number): Promise<number> {
  let best = 0;
  for (let run = 0; run < runs; run++) {
    best = Math.max(best, (await measure.run(subject)).tokensPerSecond);
  }
  return best;
}
