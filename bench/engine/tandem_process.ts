import { JsonLineChild } from "../json_lines.ts";
import { decodePrompts, prefillPrompt } from "./prompts.ts";
import type { DecodeOptions, EngineSubject, Rate } from "./subject.ts";

/** How to run Tandem's child process. */
export interface TandemOptions {
  readonly threads: number;
  /** Flags for V8, as `deno run --v8-flags` takes them; empty = none. */
  readonly v8Flags: string;
}

/** Tandem's engine in a child process of Deno, with one model loaded. */
export class TandemProcess implements EngineSubject {
  readonly name = "tandem";
  readonly #child: JsonLineChild;
  readonly #vocab: number;
  #runs = 0;

  private constructor(child: JsonLineChild, vocab: number) {
    this.#child = child;
    this.#vocab = vocab;
  }

  /** Starts the process and loads a GGUF file or a model folder. */
  static async open(path: string, vocab: number, options: TandemOptions): Promise<TandemProcess> {
    const { threads, v8Flags } = options;
    const script = new URL("./tandem_child.ts", import.meta.url).pathname;
    const flags = v8Flags === "" ? [] : [`--v8-flags=${v8Flags}`];
    const child = new JsonLineChild(Deno.execPath(), ["run", "-A", ...flags, script]);
    try {
      await child.call("load", { path, threads });
    } catch (error) {
      await child.close();
      throw error;
    }
    return new TandemProcess(child, vocab);
  }

  /** The greedy next token after a prompt. */
  nextToken(prompt: readonly number[]): Promise<number> {
    return this.#child.call("nextToken", { prompt });
  }

  decode({ batch, promptLength, tokens }: DecodeOptions): Promise<Rate> {
    const prompts = decodePrompts(batch, promptLength, this.#vocab);
    return this.#child.call("decode", { prompts, tokens });
  }

  prefill({ length }: { readonly length: number }): Promise<Rate> {
    const prompt = prefillPrompt(length, this.#vocab, this.#runs++);
    return this.#child.call("prefill", { prompt });
  }

  async peakMemoryBytes(): Promise<number | null> {
    return (await this.#child.call<{ bytes: number | null }>("peakMemory")).bytes;
  }

  close(): Promise<void> {
    return this.#child.close();
  }
}
