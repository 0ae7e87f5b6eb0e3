import { z } from "zod";
import { parseSize } from "./size.ts";

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** A node's name in a cluster, with or without a role. */
export const nodePattern = /^([A-Za-z][A-Za-z0-9-]{0,31}:)?[A-Za-z0-9_-]{1,64}$/;

const name = z.string().regex(namePattern, {
  error: "must be 1 to 64 letters, digits, dots, dashes or underscores",
});

const path = z.string().min(1);

const size = z.union([z.int(), z.string()]).transform((value, context) => {
  const bytes = typeof value === "number" ? value : parseSize(value);
  if (bytes !== null && bytes >= 1) return bytes;
  context.addIssue({ code: "custom", message: "must be a size such as 4GiB or 512MB" });
  return z.NEVER;
});

const origin = z.string().regex(/^[a-z][a-z0-9+.-]*:\/\/[^/?#\s]+$/i, {
  error: "must be an origin such as https://example.org",
});

const device = z.strictObject({
  name: name.describe("Levels refer to the device by this name."),
  kind: z.enum(["auto", "cpu", "gpu", "reference"]).default("cpu").describe(
    "cpu: WebAssembly threads; gpu: WebGPU; auto: a real GPU and the CPU; reference: for checking.",
  ),
  threads: z.int().min(1).max(1024).exactOptional()
    .describe("Threads that a CPU computes with; absent = one a core."),
  memory: size.exactOptional().describe(
    "What models and caches may take; absent = what the machine has, or 4GiB of a GPU.",
  ),
  provider: z.enum(["deno", "dawn"]).exactOptional()
    .describe("Where a GPU's WebGPU comes from: deno itself, or the package webgpu."),
});

const node = z.string().regex(nodePattern, {
  error: "must be NAME or ROLE:NAME, of letters, digits, dashes and underscores",
});

const where = {
  node: node.exactOptional().describe("Node that should hold it; absent = any."),
  device: name.exactOptional().describe("Device that should hold it; absent = any."),
};

const partition = z.strictObject({
  layers: z.int().min(1).describe("How many layers it holds."),
  ...where,
});

const shard = z.strictObject({
  experts: z.array(z.int().min(0).max(65_535)).min(1).max(65_536)
    .describe("Experts that it holds in every layer, from 0."),
  ...where,
});

const level = z.strictObject({
  name: name.describe("The level is asked for as family/level."),
  model: path.describe("Folder of the model: config.json, tokenizer.json, safetensors."),
  replicas: z.int().min(1).max(1024).exactOptional()
    .describe("Running copies; absent = one on each node that can hold a copy by itself."),
  partitions: z.union([z.int().min(1).max(1024), z.array(partition).min(1).max(1024)]).default(1)
    .describe("Actors that the layers of one copy are divided among: how many, or which."),
  expertShards: z.union([z.int().min(0).max(1024), z.array(shard).max(1024)]).default(0)
    .describe("Actors that hold the experts of a mixture; 0 = the partitions hold them."),
  nodes: z.array(node).min(1).max(1024).exactOptional()
    .describe("Nodes that may hold copies; absent = all."),
  device: name.exactOptional().describe("Device that should hold it; absent = any."),
  context: z.int().min(1).exactOptional()
    .describe("Most tokens of one sequence; absent = what the model was trained for."),
  kvCache: size.exactOptional()
    .describe("Key-value cache of one copy, such as 1GiB; absent = chosen from the memory."),
  kvDtype: z.enum(["f16", "f32", "int8"]).exactOptional()
    .describe("How keys and values are stored; absent = f16."),
});

const family = z.strictObject({
  name: name.describe("Clients ask for this name and get the cascade."),
  levels: z.array(level).min(1).max(16).describe("The models, small to giant."),
  calibration: path.exactOptional().describe("File of thresholds, made by `deno task calibrate`."),
});

const limits = z.strictObject({
  bodyBytes: size.prefault("4MiB").describe("Largest body of a request."),
  messages: z.int().min(1).default(1024).describe("Most messages of a chat."),
  promptCharacters: z.int().min(1).default(2_000_000).describe("Longest prompt."),
  choices: z.int().min(1).default(128).describe(
    "Most completions of one request: prompts times n.",
  ),
  concurrentRequests: z.int().min(1).default(256).describe("More are refused with status 429."),
  requestSeconds: z.number().positive().max(86_400).default(600)
    .describe("A request that takes longer is ended with status 504."),
  drainSeconds: z.number().min(0).max(3600).default(10)
    .describe("How long a stopping server lets requests finish."),
});

const listen = z.strictObject({
  host: z.string().min(1).max(253).default("127.0.0.1")
    .describe("Address to listen on; other than loopback needs keys."),
  port: z.int().min(0).max(65_535).default(8080).describe("0 = any free port."),
  origins: z.array(origin).default([]).describe("Web origins that may call from a browser."),
  hosts: z.array(z.string().min(1).max(253)).default([])
    .describe("More host names that a loopback server answers to, for a proxy before it."),
});

const cluster = z.strictObject({
  nats: z.array(z.string().min(1).max(1024)).min(1).max(64)
    .describe("Servers of NATS, such as nats://host:4222."),
  node: node.describe("What this node is called in the cluster."),
  user: z.string().min(1).max(256).exactOptional()
    .describe("User name; the password is in TANDEM_NATS_PASSWORD."),
  nkey: path.exactOptional().describe("File with the seed of an nkey user."),
  ca: path.exactOptional().describe("File of the authorities to trust (PEM)."),
  cert: path.exactOptional().describe("File of this node's certificate (PEM)."),
  key: path.exactOptional().describe("File of the certificate's private key (PEM)."),
});

const fields = z.strictObject({
  $schema: z.string().exactOptional(),
  families: z.array(family).max(64).default([])
    .describe("What is served; none = the bundled family zoo."),
  devices: z.array(device).min(1).max(64).prefault([{ name: "auto", kind: "auto" }])
    .describe("What the models run on."),
  limits: limits.prefault({}).describe("What requests may take."),
  listen: listen.prefault({}).describe("Where the server listens."),
  cluster: cluster.exactOptional().describe("The cluster to join; absent = the node is alone."),
  keys: path.exactOptional().describe("File of API keys, one a line; # starts a comment."),
  logLevel: z.enum(["debug", "info", "warn", "error", "silent"]).default("info")
    .describe("How much is logged."),
});

/** The form of `tandem.json`; the paths in it are as written. */
export const configSchema = fields.superRefine((config, context) => {
  const refuse = (path: (string | number)[], message: string) =>
    context.addIssue({ code: "custom", path, message });
  unique(config.devices, ["devices"], refuse);
  checkGpus(config.devices, refuse);
  unique(config.families, ["families"], refuse);
  config.families.forEach((family, f) => {
    unique(family.levels, ["families", f, "levels"], refuse);
  });
});

type Refuse = (path: (string | number)[], message: string) => void;

/** One process has one GPU: a fault of WebGPU may end it. */
function checkGpus(devices: readonly { readonly kind: string }[], refuse: Refuse): void {
  const first = devices.findIndex(({ kind }) => kind === "gpu" || kind === "auto");
  devices.forEach(({ kind }, index) => {
    const path = ["devices", index, "kind"];
    if (kind === "auto" && devices.length > 1) refuse(path, "must stand alone if it is auto");
    if (kind === "gpu" && index > first) refuse(path, "must be gpu only once in a process");
  });
}

function unique(
  items: readonly { readonly name: string }[],
  path: readonly (string | number)[],
  refuse: Refuse,
): void {
  const seen = new Set<string>();
  items.forEach(({ name }, index) => {
    if (seen.has(name)) refuse([...path, index, "name"], "must differ from the others");
    seen.add(name);
  });
}

/** The JSON schema of `tandem.json`, for editors. */
export function generateJsonSchema(): Record<string, unknown> {
  const { $schema, ...rest } = z.toJSONSchema(fields, { io: "input" });
  return { $schema, title: "Configuration of Tandem", ...rest };
}
