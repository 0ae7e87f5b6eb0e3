/** `deno task doctor`: says what this machine can do for Tandem, and what to install where something is missing. */
import { parseArgs } from "node:util";
import { ConfigError } from "../config/mod.ts";
import { runCommand } from "../node/mod.ts";
import { inspectCpu } from "./cpu.ts";
import type { Finding } from "./finding.ts";
import { inspectGpu } from "./gpu.ts";
import { inspectDisk, inspectMemory, inspectRuntime } from "./machine.ts";
import { inspectNats } from "./nats.ts";
import { formatFindings } from "./report.ts";

const help = `Check what this machine can do for Tandem.

Usage: deno task doctor [options]

  --nats URL         Also check a NATS server, as nats://127.0.0.1:4222
  --nats-nkey FILE   The seed of the user to log in as
  --provider NAME    Where WebGPU comes from: deno (navigator.gpu) or dawn
  --json             Print one JSON object
  -h, --help         Show this

Ends with status 1 when a problem was found.`;

const options = {
  nats: { type: "string" },
  "nats-nkey": { type: "string" },
  provider: { type: "string", default: "deno" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", short: "h" },
} as const;

if (import.meta.main) await runCommand(main);

async function main(): Promise<void> {
  const { values } = parseArgs({ args: Deno.args, options });
  if (values.help) return console.log(help);
  const { provider, nats: server, "nats-nkey": nkeySeedFile } = values;
  if (provider !== "deno" && provider !== "dawn") {
    throw new ConfigError("Usage", `Cannot use --provider, deno or dawn expected: ${provider}`);
  }
  const findings: Finding[] = [
    inspectRuntime(),
    await inspectCpu(),
    await inspectGpu(provider),
    inspectMemory(),
    inspectDisk(Deno.cwd()),
    await inspectNats(
      server === undefined
        ? undefined
        : { servers: [server], ...(nkeySeedFile !== undefined && { nkeySeedFile }) },
    ),
  ];
  console.log(values.json ? toJson(findings) : formatFindings(findings));
  Deno.exit(findings.some(({ verdict }) => verdict === "problem") ? 1 : 0);
}

function toJson(findings: readonly Finding[]): string {
  return JSON.stringify(
    Object.fromEntries(
      findings.map(({ part, verdict, facts, advice }) => [
        part,
        { verdict, ...facts, ...(advice !== undefined && { advice }) },
      ]),
    ),
  );
}
