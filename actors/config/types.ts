import type { KvDType } from "../../kernels/mod.ts";

/** A device that models run on. */
export interface DeviceConfig {
  /** Levels refer to it by this name. */
  readonly name: string;
  /**
   * `cpu`: WebAssembly threads; `gpu`: WebGPU; `reference`: the plain and slow implementation, for checking; `auto`:
   * a real GPU named `gpu` and the CPU named `cpu`, or the CPU alone.
   */
  readonly kind: "auto" | "cpu" | "gpu" | "reference";
  /** Threads of a CPU; absent = as many as the machine has cores. */
  readonly threads?: number;
  /** Bytes that models and their caches may take, of `auto` on the GPU; absent = what the machine has, 4 GiB of a GPU. */
  readonly memory?: number;
  /** Where the WebGPU of a `gpu` comes from; absent = `deno`. */
  readonly provider?: "deno" | "dawn";
}

/** One partition of each copy of a level, as asked for. */
export interface PartitionConfig {
  /** How many layers it holds, at least 1. */
  readonly layers: number;
  /** The node that should hold it; absent = any. */
  readonly node?: string;
  /** The device that should hold it, by its name on its node; absent = any. */
  readonly device?: string;
}

/** One expert shard of each copy of a level, as asked for. */
export interface ShardConfig {
  /** Which experts it holds in every layer, from 0; others may hold them too. */
  readonly experts: readonly number[];
  /** The node that should hold it; absent = any. */
  readonly node?: string;
  /** The device that should hold it, by its name on its node; absent = any. */
  readonly device?: string;
}

/** One level of a family. */
export interface LevelConfig {
  /** Clients ask for it as `family/level`. */
  readonly name: string;
  /** The model's folder, absolute or relative to the working directory. */
  readonly model: string;
  /** Running copies, at least 1; absent = one on each node that can hold a copy by itself. */
  readonly replicas?: number;
  /** Actors that the layers of a copy are divided among: at least so many, or exactly these. */
  readonly partitions: number | readonly PartitionConfig[];
  /** Actors that hold the experts of a mixture; 0 or none = the partitions hold them themselves. */
  readonly expertShards: number | readonly ShardConfig[];
  /** Names of the nodes that may hold copies; absent = all. */
  readonly nodes?: readonly string[];
  /** Name of the device that should hold it; absent = any. */
  readonly device?: string;
  /** Most tokens of one sequence; absent = what the model was trained for. */
  readonly context?: number;
  /** Bytes of the key-value cache of one replica; absent = chosen from the device's memory. */
  readonly kvCache?: number;
  /** How keys and values are stored; absent = `f16`. An `int8` cache holds almost twice as many tokens as `f16`. */
  readonly kvDtype?: KvDType;
}

/** The models of one service. */
export interface FamilyConfig {
  /** Clients ask for it by this name. */
  readonly name: string;
  /** Small to giant. */
  readonly levels: readonly LevelConfig[];
  /** The file of the thresholds; absent = no cascade decision is calibrated. */
  readonly calibration?: string;
  /** Set on the family that is served because none was named: in a cluster it gives way to any other. */
  readonly bundled?: true;
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

/** How a node joins others. */
export interface ClusterConfig {
  /** Servers of NATS, such as `nats://host:4222`. */
  readonly nats: readonly string[];
  /** What the node is called: letters, digits, `_` and `-`. */
  readonly node: string;
  /** User name at the servers; the password is in `TANDEM_NATS_PASSWORD`. */
  readonly user?: string;
  /** File with the seed of an nkey user. */
  readonly nkey?: string;
  /** PEM file of the authorities that the servers' certificates are checked against. */
  readonly ca?: string;
  /** PEM file of the node's own certificate; goes with a key. */
  readonly cert?: string;
  /** PEM file of the certificate's private key. */
  readonly key?: string;
}

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
  /** The cluster to join; absent = the node is alone. */
  readonly cluster?: ClusterConfig;
  /** The file of API keys. */
  readonly keys?: string;
  /** How much is logged. */
  readonly logLevel: LogLevel;
}
