import { z } from "zod";
import { parseSize } from "./size.ts";

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

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
  kind: z.enum(["cpu", "reference"]).default("cpu")
    .describe("cpu: WebAssembly threads; reference: plain and slow, for checking."),
  threads: z.int().min(1).max(1024).exactOptional()
    .describe("Threads to compute with; absent = one a core."),
  memory: size.exactOptional()
    .describe("What models and caches may take, such as 4GiB; absent = what the machine has."),
});

const level = z.strictObject({
  name: name.describe("The level is asked for as family/level."),
  model: path.describe("Folder of the model: config.json, tokenizer.json, safetensors."),
  replicas: z.int().min(1).max(1024).default(1).describe("Running copies."),
  partitions: z.int().min(1).max(1024).default(1)
    .describe("Actors that the layers of one copy are divided among."),
  expertShards: z.int().min(0).max(1024).default(0)
    .describe("Actors that hold the experts of a mixture; 0 = the partitions hold them."),
  device: name.exactOptional().describe("Name of a device; absent = the first one."),
  context: z.int().min(1).exactOptional()
    .describe("Most tokens of one sequence; absent = what the model was trained for."),
  kvCache: size.exactOptional()
    .describe("Key-value cache of one copy, such as 1GiB; absent = chosen from the memory."),
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

type Raw = z.output<typeof fields>;

const fields = z.strictObject({
  $schema: z.string().exactOptional(),
  families: z.array(family).max(64).default([])
    .describe("What is served; none = the bundled family zoo."),
  devices: z.array(device).min(1).max(64).prefault([{ name: "cpu" }])
    .describe("What the models run on."),
  limits: limits.prefault({}).describe("What requests may take."),
  listen: listen.prefault({}).describe("Where the server listens."),
  keys: path.exactOptional().describe("File of API keys, one a line; # starts a comment."),
  logLevel: z.enum(["debug", "info", "warn", "error", "silent"]).default("info")
    .describe("How much is logged."),
});

/** The form of `tandem.json`; the paths in it are as written. */
export const configSchema = fields.superRefine((config, context) => {
  const refuse = (path: (string | number)[], message: string) =>
    context.addIssue({ code: "custom", path, message });
  unique(config.devices, ["devices"], refuse);
  unique(config.families, ["families"], refuse);
  config.families.forEach((family, f) => {
    unique(family.levels, ["families", f, "levels"], refuse);
    checkDevices(config, family, f, refuse);
  });
});

type Refuse = (path: (string | number)[], message: string) => void;

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

function checkDevices(
  { devices }: Raw,
  { levels }: Raw["families"][number],
  index: number,
  refuse: Refuse,
): void {
  const names = devices.map(({ name }) => name);
  levels.forEach(({ device }, l) => {
    if (device === undefined || names.includes(device)) return;
    const rule = `must be the name of a device (${names.join(", ")})`;
    refuse(["families", index, "levels", l, "device"], rule);
  });
}

/** The JSON schema of `tandem.json`, for editors. */
export function generateJsonSchema(): Record<string, unknown> {
  const { $schema, ...rest } = z.toJSONSchema(fields, { io: "input" });
  return { $schema, title: "Configuration of Tandem", ...rest };
}
