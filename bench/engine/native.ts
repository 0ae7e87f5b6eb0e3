/** Native builds of llama.cpp on the same file, by its own bench programs. */

/** Tokens per second by measure (`decode_b8`, `prefill_128`); `null` where a program did not tell. */
export type NativeRates = Readonly<Record<string, number | null>>;

/** What to run. */
export interface NativeOptions {
  /** Folder that holds `llama-bench`, `llama-batched-bench` or both. */
  readonly folder: string;
  readonly threads: number;
  readonly rounds: number;
  readonly log: (line: string) => void;
}

const batches = [1, 8, 32];
const prompts = [128, 512];
const decoded = 32;
const kvTokens = 32 * (prompts[0]! + decoded);

/** Runs what the folder holds on a GGUF file. Throws when it holds neither program, or one fails. */
export async function measureNative(gguf: string, options: NativeOptions): Promise<NativeRates> {
  const { folder, threads, rounds, log } = options;
  const single = `${folder}/llama-bench`, batched = `${folder}/llama-batched-bench`;
  if (!isFile(single) && !isFile(batched)) {
    throw new Error(`Cannot find llama-bench or llama-batched-bench: ${folder}`);
  }
  const common = ["-m", gguf, "-t", String(threads), "-ngl", "0"];
  const rates: Record<string, number | null> = {};
  if (isFile(batched)) {
    log("Running llama-batched-bench");
    const sizes = ["-npp", String(prompts[0]), "-ntg", String(decoded), "-npl", batches.join()];
    Object.assign(
      rates,
      parseBatched(await output(batched, [...common, "-c", String(kvTokens), ...sizes])),
    );
  }
  if (isFile(single)) {
    log("Running llama-bench");
    const sizes = ["-p", prompts.join(), "-n", String(decoded), "-r", String(rounds)];
    Object.assign(rates, parseSingle(await output(single, [...common, ...sizes, "-o", "json"])));
  }
  return rates;
}

/** Reads `llama-bench -o json`: its rows are of a prompt alone or of generation at batch 1 alone. */
export function parseSingle(text: string): NativeRates {
  const from = text.indexOf("[");
  const rows: unknown = JSON.parse(text.slice(from, text.lastIndexOf("]") + 1));
  if (!Array.isArray(rows)) throw new Error(`Cannot read the figures of llama-bench: ${text}`);
  return Object.fromEntries(
    rows.map(({ n_prompt, n_gen, avg_ts, samples_ts }) => [
      n_gen > 0 ? "decode_b1" : `prefill_${n_prompt}`,
      middle(samples_ts) ?? avg_ts ?? null,
    ]),
  );
}

/** Reads the table of `llama-batched-bench`: columns B for the batch, S_TG for tokens generated a second. */
export function parseBatched(text: string): NativeRates {
  const rows = text.split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  const header = rows[0] ?? [];
  const [batch, rate] = [header.indexOf("B"), header.indexOf("S_TG t/s")];
  if (batch < 0 || rate < 0) {
    throw new Error(`Cannot read the table of llama-batched-bench: ${text.slice(0, 200)}`);
  }
  return Object.fromEntries(
    rows.filter((row) => Number(row[batch]) > 0)
      .map((row) => [`decode_b${row[batch]}`, Number(row[rate])]),
  );
}

function middle(samples: unknown): number | null {
  if (!Array.isArray(samples) || samples.length === 0) return null;
  return samples.toSorted((a, b) => a - b)[samples.length >> 1];
}

async function output(program: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (success) return new TextDecoder().decode(stdout);
  throw new Error(`Cannot run ${program}: ${new TextDecoder().decode(stderr).slice(-500)}`);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
