/** Tandem's engine as a child process: a process of its own, so that its memory and V8 flags are too. */
import { serveJsonLines } from "../json_lines.ts";
import { peakResidentBytes } from "./process_memory.ts";
import { openTandem, type TandemEngine } from "./tandem.ts";

let engine: TandemEngine | undefined;

function opened(): TandemEngine {
  if (engine === undefined) throw new Error("no model is loaded");
  return engine;
}

await serveJsonLines({
  load: async ({ path, threads }: { path: string; threads: number }) => {
    engine = await openTandem(path, threads);
  },
  nextToken: ({ prompt }: { prompt: number[] }) => opened().nextToken(prompt),
  decode: (options: { prompts: number[][]; tokens: number }) => opened().decode(options),
  prefill: ({ prompt }: { prompt: number[] }) => opened().prefill(prompt),
  peakMemory: () => ({ bytes: peakResidentBytes() }),
});
engine?.close();
