/** `deno task keys`: makes an API key, shows it once, and adds its hash to a file of keys. */
import { parseArgs } from "node:util";
import { ConfigError } from "../../config/mod.ts";
import { addKey } from "./add.ts";
import { makeKey } from "./make.ts";

const help = `Make an API key. The key is shown once; only its hash is kept.

Usage: deno task keys --name NAME [options]

  --name NAME         Whose key it is: for logs, and unique in a file
  --requests N        Most requests in any minute
  --tokens N          Most tokens of prompts and answers in any minute
  --concurrency N     Most requests at work at once
  --admin             May drain nodes too
  --file FILE         Adds the key to this file (made if there is none);
                      without it the entry is printed
  -h, --help          Show this

Serve with the file: deno task serve --keys FILE
`;

const options = {
  name: { type: "string" },
  requests: { type: "string" },
  tokens: { type: "string" },
  concurrency: { type: "string" },
  admin: { type: "boolean" },
  file: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

if (import.meta.main) await main();

async function main(): Promise<void> {
  try {
    await run();
  } catch (error) {
    const isUsage = error instanceof Error && "code" in error &&
      String(error.code).startsWith("ERR_PARSE_ARGS");
    if (!(error instanceof ConfigError) && !isUsage) throw error;
    console.error((error as Error).message.split("\n")[0]);
    Deno.exit(1);
  }
}

async function run(): Promise<void> {
  const { values } = parseArgs({ args: Deno.args, options });
  if (values.help) return console.log(help);
  const { name, file } = values;
  if (name === undefined) throw new ConfigError("Usage", "Cannot make a key without --name NAME");
  const limits = {
    ...limit("requestsPerMinute", "--requests", values.requests),
    ...limit("tokensPerMinute", "--tokens", values.tokens),
    ...limit("concurrentRequests", "--concurrency", values.concurrency),
  };
  const { key, entry } = makeKey(
    { name, limits, admin: values.admin ?? false },
    (bytes) => crypto.getRandomValues(bytes),
  );
  const text = await addKey(entry, file);
  console.error(file === undefined ? `For the file of keys:\n${text}` : `Added ${name} to ${file}`);
  console.error("The key, shown once:");
  console.log(key);
}

function limit(field: string, option: string, text: string | undefined): Record<string, number> {
  if (text === undefined) return {};
  const value = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (value >= 1) return { [field]: value };
  throw new ConfigError("Usage", `Cannot use ${option}, it must be a whole number from 1: ${text}`);
}
