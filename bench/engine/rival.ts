import { JsonLineChild } from "../rivals/mod.ts";
import { decodePrompts, prefillPrompt } from "./prompts.ts";
import type { DecodeOptions, EngineSubject, Rate } from "./subject.ts";

/** The rival's answer to a prompt, and by how much its logit leads the second. */
export interface SureToken {
  readonly token: number;
  readonly margin: number;
}

/**
 * With more than one thread in Node's pool, every step starts on another one, and on two cores the
 * threads that llama.cpp then makes wait for each other: one is up to 1.6 times faster.
 */
const env = { UV_THREADPOOL_SIZE: "1" };

/** llama.cpp, in the build that `node-llama-cpp` brings, with one GGUF model loaded. */
export class LlamaCpp implements EngineSubject {
  readonly name = "llama.cpp";
  readonly #child: JsonLineChild;
  readonly #vocab: number;

  private constructor(child: JsonLineChild, vocab: number) {
    this.#child = child;
    this.#vocab = vocab;
  }

  /** Starts the process and loads the model. The rivals must be installed. */
  static async open(path: string, vocab: number, threads: number): Promise<LlamaCpp> {
    const child = new JsonLineChild("./llama_cpp.mjs", env);
    await child.call("load", { path, threads });
    return new LlamaCpp(child, vocab);
  }

  sureToken(prompt: readonly number[]): Promise<SureToken> {
    return this.#child.call("nextToken", { prompt });
  }

  async nextToken(prompt: readonly number[]): Promise<number> {
    return (await this.sureToken(prompt)).token;
  }

  decode({ batch, promptLength, tokens }: DecodeOptions): Promise<Rate> {
    const prompts = decodePrompts(batch, promptLength, this.#vocab);
    return this.#child.call("decode", { prompts, tokens });
  }

  prefill({ length }: { readonly length: number }): Promise<Rate> {
    return this.#child.call("prefill", { prompt: prefillPrompt(length, this.#vocab) });
  }

  async peakMemoryBytes(): Promise<number | null> {
    return (await this.#child.call<{ bytes: number | null }>("peakMemory")).bytes;
  }

  close(): Promise<void> {
    return this.#child.close();
  }
}
