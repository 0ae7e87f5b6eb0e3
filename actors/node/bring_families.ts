/** Reads the families of a configuration, so that what is wrong with them is known before anything starts. */
import type { Config, FamilyConfig } from "../config/mod.ts";
import type { FamilyFacts, LevelFacts } from "../node_protocol.ts";
import { layOut } from "../planner/mod.ts";
import { type Calibration, matchCalibration, parseCalibration } from "../router/mod.ts";
import type { Shelf } from "./shelf.ts";

/** What a node brings to its cluster. */
export interface BroughtFamilies {
  /** The families of its configuration. */
  readonly families: readonly FamilyFacts[];
  /** For people. */
  readonly warnings: readonly string[];
}

/** How families without a calibration are read. */
export interface BringOptions {
  /** When the node starts, in milliseconds since the epoch. */
  readonly since: number;
  /** Quantile taken as confidence by families without a calibration. */
  readonly q: number;
}

/** Reads all families, and puts their models on the shelf. Throws one-line errors. */
export async function bringFamilies(
  config: Config,
  shelf: Shelf,
  options: BringOptions,
): Promise<BroughtFamilies> {
  const families: FamilyFacts[] = [];
  const warnings: string[] = [];
  for (const family of config.families) {
    const facts = await bringFamily(family, shelf, options);
    families.push(facts);
    if (family.calibration !== undefined || facts.levels.length === 1) continue;
    warnings.push(
      `Family ${facts.name} has no calibration: ${facts.name} answers with ` +
        `${facts.levels.at(-1)!.config.name} only. Fit one with: deno task calibrate --help`,
    );
  }
  return { families, warnings };
}

async function bringFamily(
  { name, levels, calibration: path, bundled }: FamilyConfig,
  shelf: Shelf,
  { since, q }: BringOptions,
): Promise<FamilyFacts> {
  const hashes: string[] = [];
  for (const level of levels) {
    const { facts } = await shelf.add(level.model);
    layOut(level, facts);
    hashes.push(facts.hash);
  }
  const models = levels.map((level, i) => ({ name: level.name, model: hashes[i]! }));
  const calibration = path === undefined ? undefined : await readCalibration(path, models);
  return {
    name,
    since,
    bundled: bundled === true,
    q: calibration?.signal.q ?? q,
    levels: levels.map((config, i): LevelFacts => {
      const { threshold = null, used = i === levels.length - 1 } = calibration?.levels[i] ?? {};
      return { config, model: hashes[i]!, threshold, used };
    }),
  };
}

async function readCalibration(
  path: string,
  models: readonly { readonly name: string; readonly model: string }[],
): Promise<Calibration> {
  const calibration = parseCalibration(await Deno.readTextFile(path), path);
  matchCalibration(calibration, models, path);
  return calibration;
}
