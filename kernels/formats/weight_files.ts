import { z } from "zod";
import { FormatError } from "./errors.ts";
import { quote } from "../quote.ts";
import { invalidValue, isFile, readJsonFile } from "./json_file.ts";
import { openSafetensors } from "./safetensors.ts";
import type { WeightSource } from "./weight_source.ts";

const SINGLE_FILE = "model.safetensors";
const INDEX_FILE = "model.safetensors.index.json";
const MAX_INDEX_BYTES = 100_000_000;

const shardName = z.string().max(255).regex(
  /^[^/\\\0]+\.safetensors$/,
  "must name a .safetensors file beside the index",
);
const indexSchema = z.object({ weight_map: z.record(z.string(), shardName) });

/**
 * Opens the weights of a model folder: `model.safetensors`, or the shards that
 * `model.safetensors.index.json` names. Throws {@link FormatError} `NotFound`, `InvalidConfig`, or
 * `Mismatch` when the index and the shards disagree.
 */
export function openWeights(dir: string): WeightSource {
  if (isFile(`${dir}/${SINGLE_FILE}`)) return openSafetensors(`${dir}/${SINGLE_FILE}`);
  if (isFile(`${dir}/${INDEX_FILE}`)) return openShards(dir);
  throw new FormatError(
    "NotFound",
    `Cannot find weights in ${dir}: neither ${SINGLE_FILE} nor ${INDEX_FILE}`,
  );
}

function openShards(dir: string): WeightSource {
  const path = `${dir}/${INDEX_FILE}`;
  const weightMap = readWeightMap(path);
  const files = [...new Set(weightMap.values())].sort();
  if (files.length === 0) throw new FormatError("InvalidConfig", `Cannot find a shard in ${path}`);
  const missing = files.find((file) => !isFile(`${dir}/${file}`));
  if (missing !== undefined) {
    throw new FormatError("NotFound", `Cannot find shard that ${path} names: ${quote(missing)}`);
  }
  const shards = new Map(files.map((file) => [file, namesIn(`${dir}/${file}`)]));
  for (const [name, file] of weightMap) {
    if (shards.get(file)?.has(name)) continue;
    const claim = `${quote(name)} is not in ${file}`;
    throw new FormatError("Mismatch", `Cannot match ${path} to its shards: ${claim}`);
  }
  return openSafetensors(files.map((file) => `${dir}/${file}`));
}

function readWeightMap(path: string): Map<string, string> {
  const value = readJsonFile(path, MAX_INDEX_BYTES);
  const index = indexSchema.safeParse(value);
  if (!index.success) {
    throw new FormatError(
      "InvalidConfig",
      `Cannot read ${path}: ${invalidValue(index.error, value)}`,
    );
  }
  return new Map(Object.entries(index.data.weight_map));
}

function namesIn(path: string): Set<string> {
  const source = openSafetensors(path);
  try {
    return new Set(source.names());
  } finally {
    source.close();
  }
}
