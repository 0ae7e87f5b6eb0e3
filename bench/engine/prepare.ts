import type { ModelShape } from "./shapes.ts";
import { randomModel, writeFolder, writeGguf } from "./weights/mod.ts";

/** One model on disk in both formats. */
export interface PreparedModel {
  /** A Hugging Face folder. */
  readonly folder: string;
  /** A GGUF file with the same weights. */
  readonly gguf: string;
}

const defaultCache = new URL("../.cache/", import.meta.url).pathname;
const seed = 1;

/**
 * Part of the cache's names: raise it when the same shape and seed would give other bytes, so that
 * no older file is taken for the new one.
 */
const revision = 1;

/** The random-weight model of a shape, from the cache or written now. */
export function prepareModel(
  shape: ModelShape,
  log: (line: string) => void,
  cache: string = defaultCache,
): PreparedModel {
  const base = `${cache}${shapeKey(shape)}`;
  const prepared = { folder: base, gguf: `${base}.gguf` };
  if (exists(prepared.folder) && exists(prepared.gguf)) return prepared;
  log(`Writing ${base}`);
  Deno.mkdirSync(cache, { recursive: true });
  const model = randomModel(shape, seed);
  replace(prepared.folder, (path) => writeFolder(path, model));
  replace(prepared.gguf, (path) => writeGguf(path, model, shape.name));
  return prepared;
}

function shapeKey({ name, dim, layers, ffn, heads, kvHeads, vocab, experts }: ModelShape): string {
  const expert = experts === undefined ? "" : `-${experts.count}x${experts.perToken}`;
  const sizes = [dim, layers, ffn, heads, kvHeads, vocab].join("x");
  return `${name}-${sizes}${expert}-f16-seed${seed}-r${revision}`;
}

/** Writes under a temporary name first: what has its final name is whole. */
function replace(path: string, write: (path: string) => void): void {
  const temporary = `${path}.partial`;
  for (const old of [temporary, path]) if (exists(old)) Deno.removeSync(old, { recursive: true });
  write(temporary);
  Deno.renameSync(temporary, path);
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
