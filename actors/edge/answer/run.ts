import { ActorError } from "../../../runtime/mod.ts";
import type { EndEvent, GeneratedToken, GenerateRequest, TextEvent } from "../../protocol.ts";
import type { Generate, GenerationControl } from "../generation/mod.ts";

/** An event of the generation with this index. */
export interface Indexed {
  readonly index: number;
  readonly event: TextEvent | EndEvent;
}

/** A whole answer. */
export interface Answer {
  readonly text: string;
  readonly tokens: readonly GeneratedToken[];
  readonly end: EndEvent;
}

/**
 * Runs generations at once and yields their events as they come, reading each stream only as fast as its
 * events are taken. The first failure, or leaving the loop, cancels them all. Throws `ActorError`.
 */
export async function* run(
  generate: (request: GenerateRequest, control: GenerationControl) => ReturnType<Generate>,
  requests: readonly GenerateRequest[],
  { signal, ...control }: GenerationControl,
): AsyncGenerator<Indexed, void, void> {
  const leave = new AbortController();
  const options = { ...control, signal: AbortSignal.any([signal, leave.signal]) };
  const streams = requests.map((request) => generate(request, options));
  const pending = new Map<number, Promise<Indexed>>();
  const read = (index: number) => {
    const next = streams[index]!.next().then((result) => indexed(index, result));
    next.catch(() => {});
    // A stream that was just read goes to the end, so that a fast one does not starve the others.
    pending.delete(index);
    pending.set(index, next);
  };
  try {
    streams.forEach((_, index) => read(index));
    while (pending.size > 0) {
      const { index, event } = await Promise.race(pending.values());
      if (event.type === "end") pending.delete(index);
      else read(index);
      yield { index, event };
    }
  } finally {
    leave.abort(new ActorError("Cancelled", "The answer is not wanted any more"));
    for (const stream of streams) stream.return().catch(() => {});
  }
}

function indexed(index: number, result: IteratorResult<Indexed["event"], void>): Indexed {
  if (!result.done) return { index, event: result.value };
  throw new ActorError("Terminated", "The generation ended without an answer");
}

/** Gathers whole answers, in the order of their generations. */
export async function gather(events: AsyncIterable<Indexed>, count: number): Promise<Answer[]> {
  const texts = Array.from({ length: count }, () => [] as string[]);
  const tokens = Array.from({ length: count }, () => [] as GeneratedToken[]);
  const answers = new Map<number, Answer>();
  for await (const { index, event } of events) {
    if (event.type === "end") {
      const text = texts[index]!.join("");
      answers.set(index, { text, tokens: tokens[index]!, end: event });
    } else {
      texts[index]!.push(event.text);
      tokens[index]!.push(...event.tokens);
    }
  }
  return Array.from({ length: count }, (_, index) => answers.get(index)!);
}
