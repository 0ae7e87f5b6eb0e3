import { ActorError } from "../../../runtime/mod.ts";
import type { BeginEvent, GenerateRequest, TextEvent } from "../../protocol.ts";

/** How far the reader of a generation has come: what another router needs to go on. */
export class Progress {
  readonly #request: GenerateRequest;
  readonly #ids: number[] = [];
  readonly #logprobs: number[] = [];
  #characters = 0;
  #begin: BeginEvent | null = null;

  /** The request must name its seed. */
  constructor(request: GenerateRequest) {
    this.#request = request;
  }

  /** Whether a router has begun to answer. */
  get begun(): boolean {
    return this.#begin !== null;
  }

  /** What to ask the next router for. */
  get request(): GenerateRequest {
    if (this.#begin === null) return this.#request;
    const { level, model, path } = this.#begin;
    const resume = {
      level,
      model,
      path,
      ids: this.#ids,
      logprobs: this.#logprobs,
      characters: this.#characters,
    };
    return { ...this.#request, resume };
  }

  /** A router begins. Throws `Moved` when it would begin anew what was read before. */
  begin(event: BeginEvent): void {
    if (event.resumed !== this.#ids.length) {
      const difference = `${event.resumed} tokens instead of ${this.#ids.length}`;
      throw new ActorError("Moved", `Cannot go on with an answer at this router: ${difference}`);
    }
    this.#begin = event;
  }

  /** The reader has more. */
  text({ text, tokens }: TextEvent): void {
    this.#characters += text.length;
    for (const { id, logprob } of tokens) {
      this.#ids.push(id);
      this.#logprobs.push(logprob);
    }
  }
}
