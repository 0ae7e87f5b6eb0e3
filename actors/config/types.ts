/** A device that models run on. */
export interface DeviceConfig {
  /** Levels refer to it by this name. */
  readonly name: string;
  /** `cpu`: WebAssembly threads; `reference`: the plain and slow implementation, for checking. */
  readonly kind: "cpu" | "reference";
  /** Absent = as many as the machine has cores. */
  readonly threads?: number;
  /** Bytes that models and their caches may take; absent = what the machine has. */
  readonly memory?: number;
}

/** One level of a family. */
export interface LevelConfig {
  /** Clients ask for it as `family/level`. */
  readonly name: string;
  /** The model's folder, absolute or relative to the working directory. */
  readonly model: string;
  /** Running copies, at least 1. */
  readonly replicas: number;
  /** Actors that the layers of a copy are divided among, at least 1. */
  readonly partitions: number;
  /** Actors that hold the experts of a mixture; 0 = the partitions hold them themselves. */
  readonly expertShards: number;
  /** Name of a device. */
  readonly device: string;
  /** Most tokens of one sequence; absent = what the model was trained for. */
  readonly context?: number;
  /** Bytes of the key-value cache of one replica; absent = chosen from the device's memory. */
  readonly kvCache?: number;
}

/** The models of one service. */
export interface FamilyConfig {
  /** Clients ask for it by this name. */
  readonly name: string;
  /** Small to giant. */
  readonly levels: readonly LevelConfig[];
  /** The file of the thresholds; absent = no cascade decision is calibrated. */
  readonly calibration?: string;
}

/** What one request, and all of them together, may take. */
export interface LimitsConfig {
  /** Largest body of a request, in bytes. */
  readonly bodyBytes: number;
  /** Most messages of a chat. */
  readonly messages: number;
  /** Longest prompt, in UTF-16 units. */
  readonly promptCharacters: number;
  /** Most completions of one request: prompts times `n`. */
  readonly choices: number;
  /** Requests at work at once; more are refused. */
  readonly concurrentRequests: number;
  /** A request that takes longer is ended. */
  readonly requestSeconds: number;
  /** How long a stopping server lets requests finish. */
  readonly drainSeconds: number;
}

/** Where the server listens and to whom. */
export interface ListenConfig {
  /** Address to listen on. */
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** Web origins that may call the API from a browser. */
  readonly origins: readonly string[];
  /** More names that the `Host` header may carry on a loopback server. */
  readonly hosts: readonly string[];
}

/** How much is logged. */
export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** A whole configuration, checked, with every default filled in and every path resolved. */
export interface Config {
  /** What is served; empty = nothing named. */
  readonly families: readonly FamilyConfig[];
  /** What the models run on, at least one. */
  readonly devices: readonly DeviceConfig[];
  /** What requests may take. */
  readonly limits: LimitsConfig;
  /** Where the server listens. */
  readonly listen: ListenConfig;
  /** The file of API keys. */
  readonly keys?: string;
  /** How much is logged. */
  readonly logLevel: LogLevel;
}
