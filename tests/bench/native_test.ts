import { deepEqual, equal, rejects, throws } from "node:assert/strict";
import { measureNative, parseBatched, parseSingle } from "../../bench/engine/native.ts";

const table = `main: n_kv_max = 5120, n_batch = 2048

|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |    S t/s |
|-------|--------|------|--------|----------|----------|----------|----------|----------|----------|
|   128 |     32 |    1 |    160 |    0.200 |   640.00 |    0.250 |   128.00 |    0.450 |   355.56 |
|   128 |     32 |    8 |   1280 |    1.600 |   640.00 |    0.800 |   320.50 |    2.400 |   533.33 |
`;

const single = JSON.stringify([
  { n_prompt: 128, n_gen: 0, avg_ts: 650, samples_ts: [700, 640, 610] },
  { n_prompt: 0, n_gen: 32, avg_ts: 120.5 },
]);

/** A program that answers `text` and writes its arguments down. */
function fake(path: string, text: string, code = 0): void {
  Deno.writeTextFileSync(
    path,
    `#!/bin/sh\necho "$@" > "$0.args"\ncat <<'END'\n${text}\nEND\nexit ${code}\n`,
    { mode: 0o755 },
  );
}

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = Deno.makeTempDirSync();
  try {
    await body(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

const options = { threads: 3, rounds: 5, log: () => {} };

Deno.test("measureNative() runs both programs on the file with the threads", () =>
  withFolder(async (folder) => {
    fake(`${folder}/llama-batched-bench`, table);
    fake(`${folder}/llama-bench`, single);
    const rates = await measureNative("model.gguf", { folder, ...options });
    deepEqual(rates, { decode_b1: 120.5, decode_b8: 320.5, prefill_128: 640 });
    const args = Deno.readTextFileSync(`${folder}/llama-bench.args`);
    equal(/-m model\.gguf -t 3 .*-p 128,512 -n 32 -r 5 -o json/.test(args), true, args);
    const batched = Deno.readTextFileSync(`${folder}/llama-batched-bench.args`);
    equal(/-m model\.gguf -t 3 .*-npl 1,8,32/.test(batched), true, batched);
  }));

Deno.test("measureNative() takes one program of two, and names what is missing or fails", () =>
  withFolder(async (folder) => {
    const measure = () => measureNative("model.gguf", { folder, ...options });
    await rejects(measure, (error: Error) => error.message.endsWith(folder));
    fake(`${folder}/llama-batched-bench`, table);
    equal((await measure()).decode_b1, 128);
    fake(`${folder}/llama-batched-bench`, table, 1);
    await rejects(measure, /Cannot run .*llama-batched-bench/);
  }));

Deno.test("parseBatched() and parseSingle() refuse what is no report", () => {
  throws(() => parseBatched("usage: llama-batched-bench"), /table/);
  throws(() => parseSingle("usage: llama-bench"));
});
