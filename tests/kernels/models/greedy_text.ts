/** `greedy_text.ts FOLDER` prints 10,000 greedy ids as JSON: 50 texts of 200, in batches of 25. */
import { openModelFolder } from "../../../kernels/formats/mod.ts";
import { ModelPartition, parseModelSpec } from "../../../kernels/models/mod.ts";
import { createWasmBackend, createWasmThreads } from "../../../kernels/wasm/mod.ts";
import { greedyBatch, placement } from "./greedy.ts";

const threads = await createWasmThreads(2);
const backend = await createWasmBackend({ threads, maxBytes: 2 ** 28 });
const folder = openModelFolder(Deno.args[0]!);
const spec = parseModelSpec(folder.config);
const layers = { first: 0, count: spec.layers };
const partition = ModelPartition.load(backend, spec, folder.weights, { ...placement, layers });
folder.close();

const texts: number[][] = [];
for (const first of [3, 28]) {
  const prompts = Array.from({ length: 25 }, (_, i) => [1, first + i]);
  texts.push(...await greedyBatch([partition], prompts, 200));
}
console.log(JSON.stringify(texts));
backend.close();
threads.close();
