import { assertRejectsWith, assertThrowsWith } from "./support.ts";
import { deepEqual, equal } from "node:assert/strict";
import {
  configFromModels,
  generateJsonSchema,
  loadConfig,
  parseConfig,
  parseSize,
  resolveServeConfig,
  type ServeOptions,
  showIssue,
} from "../../../actors/config/mod.ts";

const level = { name: "small", model: "models/small" };
const family = { name: "zoo", levels: [level] };

async function withFile(text: string | null, body: (path: string, dir: string) => Promise<void>) {
  const dir = await Deno.realPath(await Deno.makeTempDir());
  const path = `${dir}/tandem.json`;
  if (text !== null) await Deno.writeTextFile(path, text);
  try {
    await body(path, dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("parseConfig() fills in every default", () => {
  const config = parseConfig({});
  deepEqual(config, {
    families: [],
    devices: [{ name: "auto", kind: "auto" }],
    limits: {
      bodyBytes: 4 * 2 ** 20,
      messages: 1024,
      promptCharacters: 2_000_000,
      choices: 128,
      concurrentRequests: 256,
      requestSeconds: 600,
      drainSeconds: 10,
    },
    listen: { host: "127.0.0.1", port: 8080, origins: [], hosts: [] },
    logLevel: "info",
  });
});

Deno.test("parseConfig() fills in a level and reads sizes", () => {
  const config = parseConfig({
    families: [{ name: "zoo", levels: [{ ...level, kvCache: "1.5GiB" }] }],
    devices: [{ name: "slow", kind: "reference", memory: "4GB" }, { name: "cpu" }],
  });
  deepEqual(config.families[0]?.levels, [{
    ...level,
    partitions: 1,
    expertShards: 0,
    kvCache: 1.5 * 2 ** 30,
  }]);
  equal(config.devices[0]?.memory, 4e9);
});

const wrong: readonly (readonly [unknown, string])[] = [
  [
    { families: [{ ...family, levels: [level, { ...level, name: "giant", replicas: 0 }] }] },
    "families[0].levels[1].replicas must be at least 1: 0",
  ],
  [
    { families: [{ ...family, levels: [level, level] }] },
    'families[0].levels[1].name must differ from the others: "small"',
  ],
  [{ families: [family, family] }, 'families[1].name must differ from the others: "zoo"'],
  [
    { families: [{ ...family, levels: [] }] },
    "families[0].levels must hold at least 1 item: empty list",
  ],
  [
    { families: [{ name: "zoo/x", levels: [level] }] },
    'families[0].name must be 1 to 64 letters, digits, dots, dashes or underscores: "zoo/x"',
  ],
  [
    { families: [{ name: "zoo", levels: [{ name: "small" }] }] },
    "families[0].levels[0].model is required: missing",
  ],
  [
    { families: [{ ...family, levels: [{ ...level, partitions: [{ layers: 0 }] }] }] },
    "families[0].levels[0].partitions[0].layers must be at least 1: 0",
  ],
  [
    { families: [{ ...family, levels: [{ ...level, nodes: ["a b"] }] }] },
    'families[0].levels[0].nodes[0] must be NAME or ROLE:NAME, of letters, digits, dashes and underscores: "a b"',
  ],
  [
    { cluster: { nats: [], node: "a" } },
    "cluster.nats must hold at least 1 item: empty list",
  ],
  [{ familes: [] }, 'familes is not a known field: "familes"'],
  [{ listen: { port: "80" } }, 'listen.port must be a number: "80"'],
  [{ listen: { port: 70000 } }, "listen.port must be at most 65535: 70000"],
  [
    { listen: { origins: ["example.org"] } },
    'listen.origins[0] must be an origin such as https://example.org: "example.org"',
  ],
  [
    { limits: { bodyBytes: "many" } },
    'limits.bodyBytes must be a size such as 4GiB or 512MB: "many"',
  ],
  [
    { limits: { bodyBytes: [] } },
    "limits.bodyBytes must be a number or a string: empty list",
  ],
  [{ limits: { requestSeconds: 0 } }, "limits.requestSeconds must be more than 0: 0"],
  [{ devices: [{ name: "a", threads: 1.5 }] }, "devices[0].threads must be a whole number: 1.5"],
  [
    { devices: [{ name: "a", kind: "cuda" }] },
    'devices[0].kind must be one of "auto", "cpu", "gpu", "reference": "cuda"',
  ],
  [
    { devices: [{ name: "a", kind: "gpu" }, { name: "b", kind: "gpu" }] },
    'devices[1].kind must be gpu only once in a process: "gpu"',
  ],
  [
    { devices: [{ name: "a", kind: "auto" }, { name: "b" }] },
    'devices[0].kind must stand alone if it is auto: "auto"',
  ],
  [
    { logLevel: "loud" },
    'logLevel must be one of "debug", "info", "warn", "error", "silent": "loud"',
  ],
  [[], "must be an object: empty list"],
  [null, "must be an object: null"],
];

Deno.test("parseConfig() names the path and the value of what is wrong", () => {
  for (const [value, reason] of wrong) {
    assertThrowsWith(() => parseConfig(value), "Invalid", `Cannot use tandem.json, ${reason}`);
  }
});

Deno.test("loadConfig() resolves paths against the file", async () => {
  const text = JSON.stringify({
    $schema: "./tandem.schema.json",
    families: [{ ...family, calibration: "c.json" }],
    keys: "/etc/keys",
    cluster: { nats: ["nats://host"], node: "a", nkey: "a.nk" },
  });
  await withFile(text, async (path, dir) => {
    const config = await loadConfig(path);
    equal(config.families[0]?.levels[0]?.model, `${dir}/models/small`);
    equal(config.families[0]?.calibration, `${dir}/c.json`);
    equal(config.keys, "/etc/keys");
    equal(config.cluster?.nkey, `${dir}/a.nk`);
  });
});

Deno.test("loadConfig() says in one line what is wrong with the file", async () => {
  await withFile(null, async (path, dir) => {
    await assertRejectsWith(loadConfig(path), "NotFound", path);
    await assertRejectsWith(loadConfig(dir), "Unreadable", dir);
  });
  await withFile('{"families": [', (path) => assertRejectsWith(loadConfig(path), "Syntax", path));
  await withFile(
    " ".repeat(2 ** 20 + 1),
    (path) => assertRejectsWith(loadConfig(path), "Unreadable", "1048577"),
  );
  await withFile(
    '{"listen": {"port": -1}}',
    (path) => assertRejectsWith(loadConfig(path), "Invalid", "listen.port must be at least 0: -1"),
  );
});

Deno.test("configFromModels() names family and levels after the folders", () => {
  const names = (dirs: string[], name?: string) =>
    configFromModels(dirs, name === undefined ? {} : { family: name })
      .families.map(({ name, levels }) => [name, ...levels.map((level) => level.name)])[0];
  deepEqual(names(["/m/tiny"]), ["tiny", "tiny"]);
  deepEqual(names(["/m/a b/", "/m/giant"]), ["family", "a-b", "giant"]);
  deepEqual(names(["/x/model", "/y/model"], "ours"), ["ours", "model", "model-2"]);
  assertThrowsWith(() => configFromModels([]), "Usage", "Cannot make a family of no models: []");
  assertThrowsWith(() => names(["/m"], "a/b"), "Invalid", "families[0].name");
});

Deno.test("resolveServeConfig() puts options over the file, the models or the bundled family", async () => {
  const bundled = { name: "zoo", models: ["/zoo/small", "/zoo/giant"], calibration: "/zoo/c.json" };
  const plain = await resolveServeConfig({ models: [] }, bundled);
  equal(plain.families[0]?.name, "zoo");
  equal(plain.families[0]?.calibration, "/zoo/c.json");
  const own = await resolveServeConfig(
    { models: ["/m/a"], family: "ours", context: 64, kvCache: 1024, threads: 2, port: 0 },
    bundled,
  );
  deepEqual(own.families[0]?.levels.map(({ context, kvCache }) => [context, kvCache]), [[
    64,
    1024,
  ]]);
  deepEqual([own.devices[0]?.threads, own.listen.port, own.listen.host], [2, 0, "127.0.0.1"]);
  const text = '{"devices": [{"name": "box"}], "listen": {"port": 9}}';
  await withFile(text, async (path) => {
    const config = await resolveServeConfig({ models: [], config: path, host: "::1" }, bundled);
    deepEqual([config.listen.port, config.listen.host], [9, "::1"]);
    deepEqual(config.families.map(({ name, bundled }) => [name, bundled]), [["zoo", true]]);
  });
});

Deno.test("resolveServeConfig() chooses devices and the GPU's memory", async () => {
  const devices = async (options: Omit<ServeOptions, "models">) =>
    (await resolveServeConfig({ ...options, models: ["/m/a"] }, { name: "zoo", models: [] }))
      .devices;
  deepEqual(await devices({ gpuMemory: 8e9 }), [{ name: "auto", kind: "auto", memory: 8e9 }]);
  deepEqual(await devices({ device: "gpu", gpuMemory: 8e9, threads: 3 }), [
    { name: "gpu", kind: "gpu", memory: 8e9, threads: 3 },
  ]);
  deepEqual(await devices({ device: "cpu" }), [{ name: "cpu", kind: "cpu" }]);
  const refused = devices({ device: "cpu", gpuMemory: 8e9 });
  await assertRejectsWith(refused, "Usage", "Cannot use --gpu-memory without a GPU: 8000000000");
});

Deno.test("generateJsonSchema() gives the file beside it; schema_main.ts writes it anew", async () => {
  const file = new URL("../../../actors/config/tandem.schema.json", import.meta.url);
  deepEqual(JSON.parse(await Deno.readTextFile(file)), generateJsonSchema());
});

Deno.test("parseSize() reads what people write", () => {
  const sizes = [
    "4GiB",
    "1.5 kb",
    "10",
    " 2mib ",
    "0",
    "-1",
    "4XB",
    "",
    "GiB",
    "1e3",
    "9".repeat(30),
  ];
  deepEqual(sizes.map(parseSize), [
    2 ** 32,
    1500,
    10,
    2 ** 21,
    0,
    ...Array(6).fill(null),
  ]);
});

Deno.test("showIssue() cuts hostile names and values", () => {
  const line = showIssue({
    path: ["a", 0, "x\ny".repeat(100)],
    rule: "is not a known field",
    shown: "1",
  });
  equal(line.includes("\n"), false);
  equal(line.length < 140, true);
});
