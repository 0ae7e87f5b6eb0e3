import { hostname } from "node:os";
import { resolve } from "node:path";
import { pid } from "node:process";
import { parseArgs } from "node:util";
import type { KvDType } from "../../kernels/mod.ts";
import { ConfigError } from "./errors.ts";
import { nodePattern } from "./schema.ts";
import { parseSize } from "./size.ts";
import type { ClusterConfig, DeviceConfig, LogLevel } from "./types.ts";

/** What `deno task serve` was told; what is absent is left to the configuration and its defaults. */
export interface ServeOptions {
  /** Path of a `tandem.json`. */
  readonly config?: string;
  /** Folders, small to giant. */
  readonly models: readonly string[];
  /** What clients call the models. */
  readonly family?: string;
  /** Path of the thresholds of the models. */
  readonly calibration?: string;
  /** Address to listen on. */
  readonly host?: string;
  /** 0 = any free port. */
  readonly port?: number;
  /** What to compute with. */
  readonly device?: Exclude<DeviceConfig["kind"], "reference">;
  /** Bytes that models and caches may take of a GPU. */
  readonly gpuMemory?: number;
  /** Threads of each device. */
  readonly threads?: number;
  /** Path of a file of API keys. */
  readonly keys?: string;
  /** Most tokens of one sequence. */
  readonly context?: number;
  /** Bytes a replica. */
  readonly kvCache?: number;
  /** How keys and values are stored. */
  readonly kvDtype?: KvDType;
  /** The cluster to join. */
  readonly cluster?: ClusterConfig;
  /** How much is logged. */
  readonly logLevel?: LogLevel;
}

/** What the arguments of `deno task serve` ask for. */
export type ServeCommand =
  | { readonly kind: "serve"; readonly options: ServeOptions }
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "version" };

const options = {
  config: { type: "string" },
  model: { type: "string", multiple: true },
  family: { type: "string" },
  calibration: { type: "string" },
  host: { type: "string" },
  port: { type: "string" },
  device: { type: "string" },
  "gpu-memory": { type: "string" },
  threads: { type: "string" },
  keys: { type: "string" },
  context: { type: "string" },
  "kv-cache": { type: "string" },
  "kv-dtype": { type: "string" },
  nats: { type: "string", multiple: true },
  node: { type: "string" },
  "nats-user": { type: "string" },
  "nats-nkey": { type: "string" },
  "nats-ca": { type: "string" },
  "nats-cert": { type: "string" },
  "nats-key": { type: "string" },
  "log-level": { type: "string" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "v" },
} as const;

const devices: readonly string[] = ["auto", "cpu", "gpu"];

const kvDtypes: readonly string[] = ["f16", "f32", "int8"];

const logLevels: readonly string[] = ["debug", "info", "warn", "error", "silent"];

const help = `Serve a family of models, small to giant, over the OpenAI API.

Usage: deno task serve [options]

  Without options: the bundled family zoo at http://127.0.0.1:8080.

What to serve
  --config FILE     A tandem.json with families, devices, limits and keys
  --model PATH      A model's folder (config.json, tokenizer.json, safetensors)
                    or .gguf file; several, small to giant, make a cascade
  --family NAME     What clients call the models of --model
  --calibration FILE
                    Thresholds of --model, made by deno task calibrate

Where
  --host HOST       Address to listen on (127.0.0.1); any other needs keys
  --port N          Port to listen on (8080); 0 = any free one
  --keys FILE       API keys, one a line; or TANDEM_API_KEYS=key,key

With what
  --device D        auto, cpu or gpu (auto: a real GPU, and the CPU for what it
                    has no room for; without a GPU, or with one that is only
                    software, the CPU alone)
  --gpu-memory SIZE What models and caches may take of the GPU (4GiB)
  --threads N       Threads to compute with (one a core)
  --context N       Most tokens of one sequence (what the model was trained for)
  --kv-cache SIZE   Key-value cache of one replica, such as 512MiB
  --kv-dtype D      f16, f32 or int8: how keys and values are stored (f16)

With others
  --nats URL        A NATS server to join others by, such as nats://host:4222;
                    several are tried in turn. Without it the node is alone
  --node NAME       What this node is called (the machine's name and a number)
  --nats-user NAME  User at the servers; its password is TANDEM_NATS_PASSWORD
  --nats-nkey FILE  Seed of an nkey user, instead of name and password
  --nats-ca FILE    Authorities to trust, for tls:// (PEM)
  --nats-cert FILE, --nats-key FILE
                    This node's own certificate and its private key (PEM)

  --log-level L     debug, info, warn, error or silent (info)
  -h, --help        Show this
  -v, --version     Show the version

Examples
  deno task serve
  deno task serve --model ./small --model ./giant --family ours
  deno task serve --config tandem.json --port 9000
  deno task serve --nats nats://10.0.0.1:4222 --node b
`;

/** Reads the arguments of `deno task serve`. Throws `ConfigError` `Usage` with one line. */
export function parseServeArguments(args: readonly string[]): ServeCommand {
  const { values, tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  for (const token of tokens) check(token);
  if (values.help) return { kind: "help", text: help };
  if (values.version) return { kind: "version" };
  return { kind: "serve", options: serveOptions(values) };
}

type Token = NonNullable<ReturnType<typeof parseArgs>["tokens"]>[number];

function check(token: Token): void {
  if (token.kind === "positional") {
    const hint = "a model is given as --model PATH";
    throw usage(`Cannot use an argument that is no option (${hint}): ${token.value}`);
  }
  if (token.kind !== "option") return;
  if (!Object.hasOwn(options, token.name)) {
    const close = nearest(token.name, Object.keys(options));
    const hint = close === null ? "see --help" : `did you mean --${close}?`;
    throw usage(`Cannot use an unknown option (${hint}): ${token.rawName}`);
  }
  const { type } = options[token.name as keyof typeof options];
  const bare = token.value === undefined || token.value === "" ||
    (!token.inlineValue && token.value.startsWith("--"));
  if (type === "string" && bare) {
    throw usage(`Cannot use an option without its value: ${token.rawName}`);
  }
  if (type === "boolean" && token.value !== undefined) {
    throw usage(`Cannot give ${token.rawName} a value: ${token.value}`);
  }
}

function serveOptions(values: Readonly<Record<string, unknown>>): ServeOptions {
  const text = (name: string) => values[name] as string | undefined;
  const models = (values["model"] ?? []) as string[];
  if (values["config"] !== undefined && models.length > 0) {
    throw usage(`Cannot use --model together with --config: ${models[0]}`);
  }
  for (const name of ["family", "calibration"]) {
    if (values[name] === undefined || models.length > 0) continue;
    throw usage(`Cannot use --${name} without --model: ${values[name]}`);
  }
  return {
    models,
    ...given("config", text("config")),
    ...given("family", text("family")),
    ...given("calibration", text("calibration")),
    ...given("host", text("host")),
    ...given("port", whole("--port", text("port"), 0, 65_535)),
    ...given("device", oneOf("--device", text("device"), devices) as ServeOptions["device"]),
    ...given("gpuMemory", bytes("--gpu-memory", text("gpu-memory"))),
    ...given("threads", whole("--threads", text("threads"), 1, 1024)),
    ...given("keys", text("keys")),
    ...given("context", whole("--context", text("context"), 1, Number.MAX_SAFE_INTEGER)),
    ...given("kvCache", bytes("--kv-cache", text("kv-cache"))),
    ...given("kvDtype", oneOf("--kv-dtype", text("kv-dtype"), kvDtypes) as ServeOptions["kvDtype"]),
    ...given("cluster", cluster(text, values["nats"] as string[] | undefined)),
    ...given(
      "logLevel",
      oneOf("--log-level", text("log-level"), logLevels) as LogLevel | undefined,
    ),
  };
}

function cluster(
  text: (name: string) => string | undefined,
  nats: string[] | undefined,
): ClusterConfig | undefined {
  const [user, node] = [text("nats-user"), text("node")];
  const files = { nkey: "nats-nkey", ca: "nats-ca", cert: "nats-cert", key: "nats-key" };
  if (nats === undefined) {
    const needy = ["node", "nats-user", ...Object.values(files)].find((name) => text(name));
    if (needy === undefined) return undefined;
    throw usage(`Cannot use --${needy} without --nats: ${text(needy)}`);
  }
  if (node !== undefined && !nodePattern.test(node)) {
    throw usage(`Cannot use --node, it must be NAME or ROLE:NAME, of letters and digits: ${node}`);
  }
  const given = Object.entries(files).flatMap(([field, option]) => {
    const file = text(option);
    return file === undefined ? [] : [[field, resolve(file)]];
  });
  return {
    nats,
    node: node ?? machineName(),
    ...(user !== undefined && { user }),
    ...Object.fromEntries(given),
  };
}

/** Distinct for each process, so that two nodes of one machine do not take each other's place. */
function machineName(): string {
  const host = hostname().replaceAll(/[^A-Za-z0-9_-]+/g, "-").slice(0, 48) || "node";
  return `${host}-${pid}`;
}

function given<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };
}

function whole(option: string, text: string | undefined, low: number, high: number) {
  if (text === undefined) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= low && value <= high) return value;
  const range = high === Number.MAX_SAFE_INTEGER ? `of at least ${low}` : `from ${low} to ${high}`;
  throw usage(`Cannot use ${option}, it must be a whole number ${range}: ${text}`);
}

function bytes(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = parseSize(text);
  if (value !== null && value >= 1) return value;
  throw usage(`Cannot use ${option}, it must be a size such as 4GiB or 512MB: ${text}`);
}

function oneOf(option: string, text: string | undefined, words: readonly string[]) {
  if (text === undefined || words.includes(text)) return text;
  throw usage(`Cannot use ${option}, it must be one of ${words.join(", ")}: ${text}`);
}

function nearest(word: string, candidates: readonly string[]): string | null {
  const ranked = candidates.map((candidate) => ({ candidate, edits: distance(word, candidate) }))
    .sort((a, b) => a.edits - b.edits)[0];
  return ranked !== undefined && ranked.edits <= Math.max(2, word.length / 3)
    ? ranked.candidate
    : null;
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= Math.min(a.length, 64); i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

function usage(message: string): ConfigError {
  return new ConfigError("Usage", message.replaceAll(/\s+/g, " "));
}
