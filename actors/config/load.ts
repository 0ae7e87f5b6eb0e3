import { basename, dirname, resolve } from "node:path";
import { ConfigError } from "./errors.ts";
import { firstIssue, showIssue } from "./issue.ts";
import { configSchema } from "./schema.ts";
import type { ClusterConfig, Config, FamilyConfig, LevelConfig } from "./types.ts";

const maxFileBytes = 1 << 20;

/**
 * Reads a configuration file. Paths in it are relative to the file. Throws `ConfigError` with one line
 * that names the file, the place and the value.
 */
export async function loadConfig(path: string): Promise<Config> {
  const text = await readText(path);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const reason = (error as Error).message.replaceAll(/\s+/g, " ");
    throw new ConfigError("Syntax", `Cannot use ${path}, it is not JSON: ${reason}`);
  }
  return parseConfig(value, { source: path, folder: dirname(resolve(path)) });
}

/** Where a configuration came from. */
export interface ParseConfigOptions {
  /** Named in errors. */
  readonly source?: string;
  /** What paths are relative to; absent = they are left as written. */
  readonly folder?: string;
}

/** Checks a configuration and fills in the defaults. `{}` gives the defaults. Throws `ConfigError`. */
export function parseConfig(value: unknown, options: ParseConfigOptions = {}): Config {
  const { source = "tandem.json", folder } = options;
  const result = configSchema.safeParse(value);
  if (!result.success) {
    const reason = showIssue(firstIssue(result.error, value));
    throw new ConfigError("Invalid", `Cannot use ${source}, ${reason}`);
  }
  const { $schema: _, families, keys, cluster, ...rest } = result.data;
  const locate = (path: string) => folder === undefined ? path : resolve(folder, path);
  return {
    ...rest,
    ...(keys === undefined ? {} : { keys: locate(keys) }),
    ...(cluster === undefined ? {} : { cluster: locateFiles(cluster, locate) }),
    families: families.map(({ calibration, levels, ...family }) => ({
      ...family,
      ...(calibration === undefined ? {} : { calibration: locate(calibration) }),
      levels: levels.map((level) => ({ ...level, model: locate(level.model) })),
    })),
  };
}

function locateFiles(cluster: ClusterConfig, locate: (path: string) => string): ClusterConfig {
  const files = (["nkey", "ca", "cert", "key"] as const).filter((name) => cluster[name]);
  return { ...cluster, ...Object.fromEntries(files.map((name) => [name, locate(cluster[name]!)])) };
}

/** What to say of a family beyond its folders. */
export interface FamilyOverrides {
  /** Absent = the folder's name for one model, `family` for several. */
  readonly family?: string;
  /** The file of the thresholds. */
  readonly calibration?: string;
}

/**
 * A family from folders or files of models, small to giant, with every default. Levels are named after them.
 * Throws `ConfigError` when there is no folder or a name cannot be used.
 */
export function configFromModels(dirs: readonly string[], overrides: FamilyOverrides = {}): Config {
  if (dirs.length === 0) throw new ConfigError("Usage", "Cannot make a family of no models: []");
  const names = levelNames(dirs);
  const family: Pick<FamilyConfig, "name"> & { levels: Pick<LevelConfig, "name" | "model">[] } = {
    name: overrides.family ?? (dirs.length === 1 ? names[0]! : "family"),
    levels: dirs.map((dir, index) => ({ name: names[index]!, model: resolve(dir) })),
  };
  const { calibration } = overrides;
  const extra = calibration === undefined ? {} : { calibration: resolve(calibration) };
  return parseConfig({ families: [{ ...family, ...extra }] }, { source: "the command line" });
}

function levelNames(dirs: readonly string[]): string[] {
  const taken = new Set<string>();
  return dirs.map((dir) => {
    const file = basename(resolve(dir)).replace(/(-\d{5}-of-\d{5})?\.gguf$/, "");
    const plain = file.replaceAll(/[^A-Za-z0-9._-]+/g, "-");
    const base = plain.replace(/^[^A-Za-z0-9]+/, "").slice(0, 60) || "model";
    let name = base;
    for (let count = 2; taken.has(name); count++) name = `${base}-${count}`;
    taken.add(name);
    return name;
  });
}

async function readText(path: string): Promise<string> {
  try {
    const { size, isFile } = await Deno.stat(path);
    if (!isFile) {
      throw new ConfigError("Unreadable", `Cannot read a configuration, not a file: ${path}`);
    }
    if (size > maxFileBytes) {
      throw new ConfigError(
        "Unreadable",
        `Cannot read ${path}, it is over ${maxFileBytes} bytes: ${size}`,
      );
    }
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    if (error instanceof Deno.errors.NotFound) {
      throw new ConfigError("NotFound", `Cannot find the configuration file: ${path}`);
    }
    throw new ConfigError(
      "Unreadable",
      `Cannot read the configuration file (${(error as Error).name}): ${path}`,
    );
  }
}
