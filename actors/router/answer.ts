import type { GenerateRequest, Resume } from "../protocol.ts";
import type { SampledToken } from "../replica_protocol.ts";
import { isHopeless, lowQuantile } from "./confidence.ts";
import type { Level, StreamControl } from "./level.ts";
import { checkIds, encodePrompt, outputLimit, samplingFor } from "./level_model.ts";
import { type TextPiece, TextStream } from "./text_stream.ts";

/** How a level's answer is judged; `threshold` `null` accepts all. */
export interface Judgement {
  /** Quantile of the token log-probabilities that is the confidence. */
  readonly q: number;
  readonly threshold: number | null;
}

/** One level's answer to a request, as it comes; a resumed one begins with the tokens that its reader has. */
export class Answer {
  readonly #level: Level;
  readonly #request: GenerateRequest;
  readonly #judgement: Judgement;
  readonly #prompt: Int32Array;
  readonly #resume: Resume | undefined;
  readonly #logprobs: number[];
  #finish: "stop" | "length" = "stop";
  #hopeless = false;

  /** Encodes the prompt for the level; refuses what does not fit. */
  constructor(level: Level, request: GenerateRequest, judgement: Judgement) {
    this.#level = level;
    this.#request = request;
    this.#judgement = judgement;
    this.#prompt = encodePrompt(level.model, request.prompt);
    this.#resume = request.resume;
    this.#logprobs = [...request.resume?.logprobs ?? []];
  }

  get level(): Level {
    return this.#level;
  }

  get promptTokens(): number {
    return this.#prompt.length;
  }

  get completionTokens(): number {
    return this.#logprobs.length;
  }

  get finish(): "stop" | "length" {
    return this.#finish;
  }

  /** Confidence in the tokens so far; `null` of none. */
  get confidence(): number | null {
    return lowQuantile(this.#logprobs, this.#judgement.q);
  }

  /** Whether the confidence reaches the threshold. An answer without confidence does not. */
  get accepted(): boolean {
    const { threshold } = this.#judgement;
    if (threshold === null) return true;
    return !this.#hopeless && this.confidence !== null && this.confidence >= threshold;
  }

  /** The text, piece by piece; ends early when the answer can no longer be accepted. */
  async *pieces(seed: number, control: StreamControl): AsyncGenerator<TextPiece> {
    const { model } = this.#level;
    const text = new TextStream(
      model,
      this.#request.stop,
      this.#request.prompt.kind !== "messages",
    );
    const maxTokens = outputLimit(model, this.#request, this.#prompt.length);
    if (this.#resume) this.#replay(this.#resume, text, maxTokens);
    const isWhole = text.stopped || this.completionTokens >= maxTokens;
    const rest = isWhole ? [] : this.#level.generate(this.#ask(seed, maxTokens), control);
    for await (const token of rest) {
      const piece = text.push(token);
      this.#note(token, text.stopped);
      if (this.#isHopeless(maxTokens)) {
        this.#hopeless = true;
        return;
      }
      if (piece.text !== "") yield piece;
      if (text.stopped) break;
    }
    yield text.flush();
    if (text.stopped) this.#finish = "stop";
  }

  #replay({ ids, logprobs, characters }: Resume, text: TextStream, maxTokens: number): void {
    checkIds(this.#level.model, ids);
    text.replay(ids.map((id, i) => ({ id, logprob: logprobs[i]! })), characters);
    if (ids.length >= maxTokens) this.#finish = "length";
  }

  #ask(seed: number, maxTokens: number) {
    const { model } = this.#level;
    return {
      id: this.#request.id,
      ids: Int32Array.from([...this.#prompt, ...this.#resume?.ids ?? []]),
      promptLength: this.#prompt.length,
      maxTokens,
      eosIds: model.eosIds,
      sampling: { ...samplingFor(model, this.#request), seed },
      alternatives: this.#request.logprobs ?? 0,
    };
  }

  #note(token: SampledToken, stopped: boolean): void {
    this.#logprobs.push(token.logprob);
    this.#finish = stopped ? "stop" : token.finish ?? "stop";
  }

  #isHopeless(maxTokens: number): boolean {
    const { q, threshold } = this.#judgement;
    return threshold !== null && isHopeless(this.#logprobs, { q, threshold, maxTokens });
  }
}
