/** `deno task calibrate`: fits a family's thresholds on labelled items and writes its calibration file. */
import { parseArgs } from "node:util";
import { ConfigError, type FamilyConfig, resolveServeConfig } from "../config/mod.ts";
import { bundledFamily } from "./bundled.ts";
import { fitCalibration } from "./calibration_run.ts";
import { runCommand } from "./command.ts";
import { parseItems } from "./items.ts";
import { startNode } from "./node.ts";
import { progressLine } from "./progress.ts";

const help = `Fit the thresholds of a family's cascade on labelled items.

Usage: deno task calibrate --items FILE [options]

  --items FILE       JSON lines with a prompt and its answer each
  --config FILE      A tandem.json (default: the bundled family zoo)
  --model PATH       A model's folder or .gguf file, several times, small to giant
  --family NAME      Which family of the configuration (the only one)
  --out FILE         Where to write (the family's calibration file, else calibration.json)
  --tolerance T      Accuracy that may be lost against the last level (0.0025)
  --quantile Q       Quantile of the token log-probabilities taken as confidence (0 = the minimum)
  --concurrency N    Items asked at once (64)
  --threads N        Threads to compute with (one a core)
  -h, --help         Show this

The cheapest cascade is chosen that, with 95 % confidence on the items, loses no more than the tolerance.
A level that does not pay is left out.`;

const options = {
  items: { type: "string" },
  config: { type: "string" },
  model: { type: "string", multiple: true },
  family: { type: "string" },
  out: { type: "string" },
  tolerance: { type: "string", default: "0.0025" },
  quantile: { type: "string", default: "0" },
  concurrency: { type: "string", default: "64" },
  threads: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

await runCommand(async () => {
  const { values } = parseArgs({ args: Deno.args, options });
  if (values.help) return console.log(help);
  if (values.items === undefined) {
    throw new ConfigError("Usage", "Cannot calibrate without --items FILE");
  }
  const items = parseItems(await Deno.readTextFile(values.items), values.items);
  const tolerance = numberOption("tolerance", values.tolerance, 0, 1);
  const q = numberOption("quantile", values.quantile, 0, 1);
  const concurrency = numberOption("concurrency", values.concurrency, 1, 1024);
  const config = await resolveServeConfig({
    models: values.model ?? [],
    ...(values.config !== undefined && { config: values.config }),
    ...(values.model !== undefined && values.family !== undefined && { family: values.family }),
    ...(values.threads !== undefined &&
      { threads: numberOption("threads", values.threads, 1, 1024) }),
  }, bundledFamily());
  const family = pickFamily(config.families, values.family);
  const { calibration: _, ...uncalibrated } = family;
  const node = await startNode({ ...config, families: [uncalibrated] }, {
    q,
    progress: console.error,
  });
  try {
    const line = progressLine(items.length);
    const result = await fitCalibration(node, {
      family: family.name,
      items,
      tolerance,
      q,
      concurrency,
      progress: (level, done) => line(`${family.name}/${level}`, done),
    });
    const out = values.out ?? family.calibration ?? "calibration.json";
    await Deno.writeTextFile(out, JSON.stringify(result, null, 2) + "\n");
    console.log(
      `${
        JSON.stringify(result.fit, null, 2)
      }\nWrote ${out}: serve with it by --calibration or in tandem.json`,
    );
  } finally {
    await node.close();
  }
});

function pickFamily(families: readonly FamilyConfig[], name: string | undefined): FamilyConfig {
  const family = name === undefined ? families[0] : families.find((f) => f.name === name);
  if (family && (name !== undefined || families.length === 1)) return family;
  const known = families.map((f) => f.name).join(", ");
  throw new ConfigError(
    "Usage",
    `Cannot choose a family by --family among ${known}: ${name ?? "none given"}`,
  );
}

function numberOption(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= least && value <= most) return value;
  throw new ConfigError("Usage", `Cannot use --${name}, ${least} to ${most} expected: ${text}`);
}
