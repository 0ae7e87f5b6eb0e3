/** Prints generated items as JSON lines. */
import { parseArgs } from "node:util";
import {
  DEFAULT_DIFFICULTIES,
  generate,
  type GenerateOptions,
  type Split,
  TaskError,
} from "./mod.ts";

const help = `Print questions and answers of the zoo's tasks, one JSON object a line.

Usage: deno run examples/zoo/tasks/main.ts [options] > items.jsonl

  --split NAME          train, calibration or test (test)
  --count N             how many items (2000)
  --seed N              which stream of items (1)
  --difficulties A,B,C,D  weights of difficulties 1 to 4 (${DEFAULT_DIFFICULTIES.join(",")})
  --help                this text
`;

function readOptions(args: string[]): GenerateOptions | null {
  const { values } = parseArgs({
    args,
    options: {
      split: { type: "string", default: "test" },
      count: { type: "string", default: "2000" },
      seed: { type: "string", default: "1" },
      difficulties: { type: "string", default: DEFAULT_DIFFICULTIES.join(",") },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return null;
  return {
    split: values.split as Split,
    count: readNumber(values.count),
    seed: readNumber(values.seed),
    difficulties: values.difficulties.split(",").map(readNumber) as [
      number,
      number,
      number,
      number,
    ],
  };
}

function readNumber(text: string): number {
  return text.trim() === "" ? NaN : Number(text);
}

async function print(options: GenerateOptions): Promise<void> {
  const lines = generate(options).map((item) => JSON.stringify(item) + "\n");
  await new Blob(lines).stream().pipeTo(Deno.stdout.writable);
}

if (import.meta.main) {
  try {
    const options = readOptions(Deno.args);
    if (options === null) console.log(help);
    else await print(options);
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) Deno.exit(0);
    const known = error instanceof TaskError || error instanceof TypeError;
    if (!known) throw error;
    console.error(error.message);
    Deno.exit(2);
  }
}
