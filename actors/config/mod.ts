/**
 * Configuration: `tandem.json`, the arguments of `deno task serve`, and errors that name the place and
 * the value.
 */
export { ConfigError } from "./errors.ts";
export type { ConfigErrorCode } from "./errors.ts";
export { firstIssue, showIssue, showPath, showValue } from "./issue.ts";
export type { Issue, PathStep } from "./issue.ts";
export { configFromModels, loadConfig, parseConfig } from "./load.ts";
export type { FamilyOverrides, ParseConfigOptions } from "./load.ts";
export { generateJsonSchema } from "./schema.ts";
export { parseServeArguments } from "./serve_arguments.ts";
export type { ServeCommand, ServeOptions } from "./serve_arguments.ts";
export { resolveServeConfig } from "./serve_config.ts";
export type { BundledFamily } from "./serve_config.ts";
export { parseSize } from "./size.ts";
export type {
  ClusterConfig,
  Config,
  DeviceConfig,
  FamilyConfig,
  LevelConfig,
  LimitsConfig,
  ListenConfig,
  LogLevel,
  PartitionConfig,
  ShardConfig,
} from "./types.ts";
