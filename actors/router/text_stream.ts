import { createDetokenizer, createStopMatcher } from "../../kernels/mod.ts";
import type { GeneratedToken, TokenLogprob } from "../protocol.ts";
import type { SampledToken } from "../replica_protocol.ts";
import type { LevelModel } from "./level_model.ts";

/** Text that became final, and the tokens that it ends with. */
export interface TextPiece {
  readonly text: string;
  readonly tokens: readonly GeneratedToken[];
}

/** What the text needs of a sampled token. */
export type TextToken = Pick<SampledToken, "id" | "logprob" | "top">;

/** Turns a level's sampled tokens into text: whole characters, cut at the first stop string. */
export class TextStream {
  readonly #detokenizer;
  readonly #matcher;
  readonly #eos: ReadonlySet<number>;
  #held: GeneratedToken[] = [];
  /** UTF-16 units of the text that its reader has already. */
  #known = 0;
  #stopped = false;

  /** `continues` says that the text goes on from the prompt's own text, so a leading space stays. */
  constructor(readonly model: LevelModel, stops: readonly string[], continues: boolean) {
    this.#detokenizer = createDetokenizer(model.tokenizer, { skipSpecialTokens: true, continues });
    this.#matcher = createStopMatcher(stops);
    this.#eos = new Set(model.eosIds);
  }

  /** Whether a stop string ended the text. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Takes tokens whose reader has them already, with the first `characters` of text. */
  replay(tokens: readonly TextToken[], characters: number): void {
    this.#known = characters;
    for (const token of tokens) this.push(token);
    this.#held = [];
  }

  /** Takes a token; answers what can be sent on. */
  push(token: TextToken): TextPiece {
    if (this.#eos.has(token.id)) return { text: "", tokens: [] };
    this.#held.push(this.#describe(token));
    const { text, stopped } = this.#matcher.push(this.#detokenizer.push(token.id));
    this.#stopped = stopped !== null;
    return text === "" ? { text, tokens: [] } : this.#release(text);
  }

  /** What is left when the generation has ended without a stop string. */
  flush(): TextPiece {
    if (this.#stopped) return this.#release("");
    const { text, stopped } = this.#matcher.push(this.#detokenizer.flush());
    this.#stopped = stopped !== null;
    return this.#release(this.#stopped ? text : text + this.#matcher.flush());
  }

  #release(text: string): TextPiece {
    const tokens = this.#held;
    this.#held = [];
    const news = text.slice(this.#known);
    this.#known -= text.length - news.length;
    return { text: news, tokens };
  }

  #describe({ id, logprob, top }: TextToken): GeneratedToken {
    return {
      id,
      ...this.#logprob(id, logprob),
      top: top?.map((t) => this.#logprob(t.id, t.logprob)) ?? [],
    };
  }

  #logprob(id: number, logprob: number): TokenLogprob {
    const bytes = this.model.tokenizer.tokenBytes(id);
    const token = bytes.length > 0
      ? new TextDecoder().decode(bytes)
      : this.model.tokenizer.tokenText(id);
    return { token, bytes: [...bytes], logprob };
  }
}
