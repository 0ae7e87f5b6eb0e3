/** A node: devices, replicas and routers of the families of one configuration. */
import { checkpointBytes, openModel, parseModelSpec } from "../../kernels/mod.ts";
import { type ActorRef, createSystem, type Logger, type System } from "../../runtime/mod.ts";
import type { Config, FamilyConfig, LevelConfig } from "../config/mod.ts";
import type { RouterProtocol } from "../protocol.ts";
import {
  type Calibration,
  type Family,
  Level,
  type LevelModel,
  matchCalibration,
  openLevelModel,
  parseCalibration,
  Router,
} from "../router/mod.ts";
import { deploy, type Deployment, type RunningReplica } from "./deploy.ts";
import { type DeviceWorker, startDevice } from "./devices.ts";
import { Keeper } from "./keeper.ts";
import { type Layout, layOut, LayoutError } from "./layout.ts";

/** What a starting node reports. */
export type NodeProgress = (line: string) => void;

/** How a node is started. */
export interface NodeOptions {
  /** Where its actors log; the runtime's default when absent. */
  readonly log?: Logger;
  /** Told each line of the start; absent = silent. */
  readonly progress?: NodeProgress;
  /** Its name; `local` by default. */
  readonly node?: string;
  /** Quantile taken as confidence by families without a calibration; 0 by default. */
  readonly q?: number;
}

/** A running node. */
export interface TandemNode {
  /** The system that its actors run in. */
  readonly system: System;
  /** Routers by the names of their families. */
  readonly routers: ReadonlyMap<string, ActorRef<RouterProtocol>>;
  /** Small to giant, a family. */
  readonly models: ReadonlyMap<string, readonly LevelModel[]>;
  /** Warnings of the start, for people. */
  readonly warnings: readonly string[];
  /** Stops its actors and their threads. */
  close(): Promise<void>;
}

/** A level that is known to fit, before anything is loaded. */
interface PlannedLevel {
  readonly config: LevelConfig;
  readonly model: LevelModel;
  readonly layout: Layout;
}

/** Starts everything that a configuration names. Throws one-line errors; nothing is left running then. */
export async function startNode(
  config: Config,
  options: NodeOptions = {},
): Promise<TandemNode> {
  const planned = await planFamilies(config);
  const system = createSystem({
    node: options.node ?? "local",
    ...(options.log && { log: options.log }),
  });
  const devices = config.devices.map((device) => startDevice(system, device));
  const keeper = new Keeper(system, system.log);
  const close = () => {
    keeper.close();
    return shutdown(system, devices);
  };
  try {
    const routers = new Map<string, ActorRef<RouterProtocol>>();
    const warnings: string[] = [];
    for (const [family, levels] of planned) {
      const { router, warning } = await startFamily(system, keeper, family, levels, options);
      routers.set(family.name, router);
      if (warning) warnings.push(warning);
    }
    const models = new Map(
      [...planned].map(([{ name }, levels]) => [name, levels.map((l) => l.model)]),
    );
    return { system, routers, models, warnings, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function planFamilies(config: Config): Promise<Map<FamilyConfig, PlannedLevel[]>> {
  const planned = new Map<FamilyConfig, PlannedLevel[]>();
  for (const family of config.families) {
    planned.set(family, await Promise.all(family.levels.map(planLevel)));
  }
  checkMemory([...planned.values()].flat(), config);
  return planned;
}

async function planLevel(config: LevelConfig): Promise<PlannedLevel> {
  const folder = openModel(config.model);
  try {
    const layout = layOut(config, parseModelSpec(folder.config), checkpointBytes(folder.weights));
    const model = await openLevelModel(config.name, config.model, layout.limits.context);
    return { config, model, layout };
  } finally {
    folder.close();
  }
}

/** Refuses what the machine or a device's share of it cannot hold. */
function checkMemory(levels: readonly PlannedLevel[], { devices }: Config): void {
  const machine = Deno.systemMemoryInfo().available;
  for (const device of devices) {
    const needed = levels.filter(({ config }) => config.device === device.name)
      .reduce((sum, { config, layout }) => sum + config.replicas * layout.bytes, 0);
    const limit = Math.min(device.memory ?? machine, machine);
    if (needed <= limit) continue;
    const [need, have] = [needed, limit].map((bytes) => `${Math.ceil(bytes / 1e6)} MB`);
    throw new LayoutError(
      `Cannot fit the models into the ${have} of memory of ${device.name}: ${need}`,
    );
  }
}

async function startFamily(
  system: System,
  keeper: Keeper,
  family: FamilyConfig,
  planned: readonly PlannedLevel[],
  { progress, q }: NodeOptions,
): Promise<{ router: ActorRef<RouterProtocol>; warning?: string }> {
  const calibration = await readCalibration(family, planned);
  const levels: Level[] = [];
  for (const [i, { config, model, layout }] of planned.entries()) {
    progress?.(`Loading ${family.name}/${config.name}: ${(layout.bytes / 1e6).toFixed(0)} MB`);
    const copies: [Deployment, RunningReplica][] = [];
    for (let index = 0; index < config.replicas; index++) {
      const deployment = { family: family.name, level: config, spec: model.spec, layout, index };
      copies.push([deployment, await deploy(system, deployment)]);
    }
    const isLast = i === planned.length - 1;
    const { threshold = null, used = isLast } = calibration?.levels[i] ?? {};
    const level = new Level(model, copies.map(([, { replica }]) => replica), threshold, used);
    for (const [deployment, running] of copies) keeper.keep(deployment, running, level);
    levels.push(level);
  }
  const args: Family = { name: family.name, levels, q: calibration?.signal.q ?? q ?? 0 };
  const router = system.spawn(Router, args, { id: family.name });
  await system.ready(router);
  if (calibration || planned.length === 1) return { router };
  const last = planned.at(-1)!.config.name;
  const warning =
    `Family ${family.name} has no calibration: ${family.name} answers with ${last} only. ` +
    "Fit one with: deno task calibrate --help";
  return { router, warning };
}

async function readCalibration(
  { calibration: path }: FamilyConfig,
  planned: readonly PlannedLevel[],
): Promise<Calibration | undefined> {
  if (path === undefined) return undefined;
  const calibration = parseCalibration(await Deno.readTextFile(path), path);
  matchCalibration(
    calibration,
    planned.map(({ model }) => ({ name: model.name, model: model.hash })),
    path,
  );
  return calibration;
}

async function shutdown(system: System, devices: readonly DeviceWorker[]): Promise<void> {
  await system.shutdown();
  for (const device of devices) device.close();
}
