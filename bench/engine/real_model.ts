import { openFolder, writeGguf } from "../weights/mod.ts";

const folder = new URL("../../examples/zoo/models/giant", import.meta.url).pathname;
const cache = new URL("../.cache/", import.meta.url).pathname;
const beginning = 256;

/** Prompts of the tasks that the zoo was trained on, as token ids: one for each byte. */
export const realPrompts: readonly number[][] = [
  "347+58=",
  "12*7=",
  "reverse abcdef=",
  "sort 4 9 1 7=",
  "count a in banana=",
  "max 31 77 42=",
  "1+1=",
  "count b in abbbaab=",
].map((text) => [beginning, ...new TextEncoder().encode(text)]);

/** The trained mixture of experts of `examples/zoo`, converted to GGUF; `null` without it. */
export function prepareRealModel(): { gguf: string; vocab: number } | null {
  if (!isFile(`${folder}/model.safetensors`)) return null;
  const gguf = `${cache}zoo-giant.gguf`;
  Deno.mkdirSync(cache, { recursive: true });
  using model = openFolder(folder);
  writeGguf(gguf, model, "zoo-giant");
  return { gguf, vocab: model.config.vocab_size };
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
