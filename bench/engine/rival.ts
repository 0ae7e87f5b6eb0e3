import { JsonLineChild } from "../json_lines.ts";
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

const script = new URL("../rivals/llama_cpp.mjs", import.meta.url).pathname;

/**
 * llama.cpp, in the build that `node-llama-cpp` brings, with one GGUF model loaded, in the way that is
 * fastest: sequences step together.
 */
export class LlamaCpp implements EngineSubject {
  readonly name: string = "llama.cpp";
  /** What it says of the instructions that it uses. */
  readonly system: string;
  readonly #child: JsonLineChild;
  readonly #vocab: number;
  #runs = 0;

  protected constructor({ child, system }: Started, vocab: number) {
    this.#child = child;
    this.system = system;
    this.#vocab = vocab;
  }

  /** Starts the process and loads the model. The rivals must be installed. */
  static async open(path: string, vocab: number, threads: number): Promise<LlamaCpp> {
    return new LlamaCpp(await start(path, threads, env), vocab);
  }

  sureToken(prompt: readonly number[]): Promise<SureToken> {
    return this.#child.call("nextToken", { prompt });
  }

  decode(options: DecodeOptions): Promise<Rate> {
    return this.decodeBy("decode", options);
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

  protected decodeBy(method: string, { batch, promptLength, tokens }: DecodeOptions) {
    const prompts = decodePrompts(batch, promptLength, this.#vocab);
    return this.#child.call<Rate>(method, { prompts, tokens });
  }
}

/**
 * The same engine as most programs use it: one `evaluate()` iterator a sequence, side by side, in a
 * process with Node's own settings.
 */
export class NaturalLlamaCpp extends LlamaCpp {
  override readonly name = "llama.cpp, evaluate()";
  readonly only = ["decode_b8"];

  static override async open(
    path: string,
    vocab: number,
    threads: number,
  ): Promise<NaturalLlamaCpp> {
    return new NaturalLlamaCpp(await start(path, threads, {}), vocab);
  }

  override decode(options: DecodeOptions): Promise<Rate> {
    return this.decodeBy("decodeNaturally", options);
  }
}

/** A process that has loaded its model. */
interface Started {
  readonly child: JsonLineChild;
  readonly system: string;
}

async function start(
  path: string,
  threads: number,
  env: Readonly<Record<string, string>>,
): Promise<Started> {
  const child = new JsonLineChild("node", [script], env);
  try {
    return { child, ...await child.call<{ system: string }>("load", { path, threads }) };
  } catch (error) {
    await child.close();
    throw error;
  }
}
