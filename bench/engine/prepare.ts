import type { BenchModel } from "../shapes.ts";
import { randomModel, writeGguf } from "../weights/mod.ts";

const defaultCache = new URL("../.cache/", import.meta.url).pathname;
const seed = 1;

/**
 * Part of the cache's names: raise it when the same shape and seed would give other bytes, so that
 * no older file is taken for the new one.
 */
const revision = 1;

/** The GGUF file of a random-weight model, from the cache or written now. */
export function prepareModel(
  model: BenchModel,
  log: (line: string) => void,
  cache: string = defaultCache,
): string {
  const path = `${cache}${fileName(model)}`;
  if (exists(path)) return path;
  log(`Writing ${path}`);
  Deno.mkdirSync(cache, { recursive: true });
  const { shape, dtype } = model;
  const temporary = `${path}.partial`;
  writeGguf(temporary, randomModel(shape, seed), shape.name, dtype === "F16" ? undefined : dtype);
  Deno.renameSync(temporary, path);
  return path;
}

function fileName({ shape, dtype }: BenchModel): string {
  const { name, dim, layers, ffn, heads, kvHeads, vocab, experts } = shape;
  const expert = experts === undefined ? "" : `-${experts.count}x${experts.perToken}`;
  const sizes = [dim, layers, ffn, heads, kvHeads, vocab].join("x");
  return `${name}-${sizes}${expert}-${dtype.toLowerCase()}-seed${seed}-r${revision}.gguf`;
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
