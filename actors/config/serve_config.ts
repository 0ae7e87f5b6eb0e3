import { resolve } from "node:path";
import { ConfigError } from "./errors.ts";
import { configFromModels, loadConfig } from "./load.ts";
import type { ServeOptions } from "./serve_arguments.ts";
import type { Config, DeviceConfig } from "./types.ts";

/** The family that is served when none is named. */
export interface BundledFamily {
  /** What clients call it. */
  readonly name: string;
  /** Folders, small to giant. */
  readonly models: readonly string[];
  /** The file of the thresholds. */
  readonly calibration?: string;
}

/**
 * The configuration that the arguments stand for: their file, or a family of their models, or the bundled
 * one; then single options over it. Throws `ConfigError`.
 */
export async function resolveServeConfig(
  options: ServeOptions,
  bundled: BundledFamily,
): Promise<Config> {
  const base = await baseConfig(options, bundled);
  const { context, kvCache, kvDtype, host, port, keys, logLevel, cluster } = options;
  return {
    ...base,
    devices: devicesOf(base, options),
    families: base.families.map((family) => ({
      ...family,
      levels: family.levels.map((level) => ({ ...level, ...given({ context, kvCache, kvDtype }) })),
    })),
    listen: { ...base.listen, ...given({ host, port }) },
    ...given({ keys: keys === undefined ? undefined : resolve(keys), logLevel }),
    ...given({ cluster: cluster ?? base.cluster }),
  };
}

function devicesOf(base: Config, options: ServeOptions): DeviceConfig[] {
  const { device: kind, gpuMemory, threads } = options;
  const devices = kind ? [{ name: kind, kind }] : base.devices;
  const isGpu = ({ kind }: DeviceConfig) => kind === "gpu" || kind === "auto";
  if (gpuMemory !== undefined && !devices.some(isGpu)) {
    throw new ConfigError("Usage", `Cannot use --gpu-memory without a GPU: ${gpuMemory}`);
  }
  return devices.map((device) => ({
    ...device,
    ...given({ threads, memory: isGpu(device) ? gpuMemory : undefined }),
  }));
}

async function baseConfig(options: ServeOptions, bundled: BundledFamily): Promise<Config> {
  const { calibration: fitted, family, models } = options;
  if (models.length > 0) return configFromModels(models, given({ family, calibration: fitted }));
  const { name, calibration } = bundled;
  const zoo = configFromModels(bundled.models, { family: name, ...given({ calibration }) });
  const families = zoo.families.map((family) => ({ ...family, bundled: true as const }));
  if (options.config === undefined) return { ...zoo, families };
  const config = await loadConfig(options.config);
  return config.families.length > 0 ? config : { ...config, families };
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function given<T extends object>(values: T): Given<T> {
  const present = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as Given<T>;
}
