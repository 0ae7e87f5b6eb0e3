import {
  type ActorDefinition,
  ActorError,
  type ActorErrorCode,
  type Context,
  defineActor,
} from "../../runtime/mod.ts";
import { checkGenerateRequest } from "../checks/mod.ts";
import type {
  FamilyStatus,
  GenerateEvent,
  GenerateRequest,
  Resume,
  RouterProtocol,
  Visit,
} from "../protocol.ts";
import { Answer } from "./answer.ts";
import type { Level, StreamControl } from "./level.ts";
import { refuse } from "./level_model.ts";
import type { TextPiece } from "./text_stream.ts";

/** A family as its router serves it. */
export interface Family {
  /** Its name, as clients ask for it. */
  readonly name: string;
  /** Small to giant. */
  readonly levels: readonly Level[];
  /** Quantile of the token log-probabilities that is the confidence. */
  readonly q: number;
}

/** A router's state: its family and the requests since its start. */
export interface RouterState extends Family {
  /** Requests that are being answered. */
  running: number;
  /** Requests that were answered to the end. */
  finished: number;
  /** Requests that ended with an error other than `Cancelled`. */
  failed: number;
  /** Requests answered by each level, by its name. */
  readonly answered: Map<string, number>;
}

/**
 * A family's confidence router: asks small levels first and escalates what they are unsure of. An answer
 * that may still be escalated is held back until it is accepted; the last level's is streamed as it comes.
 */
export const Router: ActorDefinition<RouterProtocol, RouterState, Family> = defineActor({
  kind: "router",
  concurrent: ["status"],
  checks: { generate: checkGenerateRequest },
  start: (_context, family) => ({
    ...family,
    running: 0,
    finished: 0,
    failed: 0,
    answered: new Map(),
  }),
  receive: {
    async *generate(state, request, context) {
      state.running++;
      try {
        yield* cascade(state, request, context);
        state.finished++;
      } catch (error) {
        if (!(error instanceof ActorError) || error.code !== "Cancelled") state.failed++;
        throw error;
      } finally {
        state.running--;
      }
    },
    status: async (
      { name, levels, running, finished, failed, answered },
    ): Promise<FamilyStatus> => ({
      family: name,
      ready: levels.every((level) => level.alive),
      levels: await Promise.all(levels.map((level) => level.summary())),
      requests: { running, finished, failed },
      answered: Object.fromEntries(answered),
    }),
  },
});

/** Errors that say that a level has no replica left, not that a request is wrong or too much. */
const LEVEL_DOWN: ReadonlySet<string> = new Set<ActorErrorCode>(["NoRoute", "Terminated"]);

async function* cascade(
  state: RouterState,
  request: GenerateRequest,
  context: Context<RouterProtocol>,
): AsyncGenerator<GenerateEvent> {
  const seed = request.sampling.seed ?? Math.floor(context.rng.next() * 2 ** 53);
  const path: Visit[] = [...request.resume?.path ?? []];
  for (const level of route(state, request)) {
    const judged = request.level === undefined && request.resume === undefined;
    const threshold = judged ? level.threshold : null;
    const answer = new Answer(level, request, { q: state.q, threshold });
    const started = context.clock.monotonic();
    const visit = (): Visit => ({
      level: level.name,
      confidence: answer.confidence,
      threshold,
      outcome: answer.accepted ? "accepted" : "escalated",
      tokens: answer.completionTokens,
      milliseconds: context.clock.monotonic() - started,
    });
    let pieces: AsyncIterable<TextPiece> | Iterable<TextPiece> = answer.pieces(seed, context);
    if (threshold !== null) {
      const whole = await collect(answer, seed, impatient(context));
      if (whole === null || !answer.accepted) {
        path.push({ ...visit(), outcome: "escalated" });
        continue;
      }
      pieces = [whole];
    }
    yield beginEvent(state, request, answer, path);
    yield* textEvents(pieces);
    path.push(visit());
    state.answered.set(level.name, (state.answered.get(level.name) ?? 0) + 1);
    yield endEvent(answer, path);
    return;
  }
}

/** The levels that a request may visit; the last of them accepts whatever it answers. */
function route({ name, levels }: Family, { level, resume }: GenerateRequest): readonly Level[] {
  if (resume) return [resumed(name, levels, resume)];
  if (level === undefined) return levels.filter((candidate) => candidate.used);
  const direct = levels.find((candidate) => candidate.name === level);
  if (direct) return [direct];
  const known = levels.map((candidate) => `${name}/${candidate.name}`).join(", ");
  return refuse(`Cannot find model ${name}/${level} among: ${name}, ${known}`, {
    status: 404,
    code: "model_not_found",
    param: "model",
  });
}

function resumed(family: string, levels: readonly Level[], { level, model }: Resume): Level {
  const same = levels.find(({ name, model: { hash } }) => name === level && hash === model);
  if (same) return same;
  throw new ActorError("Moved", `Cannot go on with the model of ${family}/${level}: ${model}`);
}

/** An answer that may be escalated does not wait for a level that is down. */
function impatient({ signal, deadline, trace }: Context<RouterProtocol>): StreamControl {
  return { signal, deadline, trace, patient: false };
}

/** A whole answer as one piece; `null` when the level is down, so that the next one answers. */
async function collect(
  answer: Answer,
  seed: number,
  control: StreamControl,
): Promise<TextPiece | null> {
  const pieces: TextPiece[] = [];
  try {
    for await (const piece of answer.pieces(seed, control)) pieces.push(piece);
  } catch (error) {
    if (error instanceof ActorError && LEVEL_DOWN.has(error.code)) return null;
    throw error;
  }
  return {
    text: pieces.map(({ text }) => text).join(""),
    tokens: pieces.flatMap(({ tokens }) => tokens),
  };
}

async function* textEvents(
  pieces: AsyncIterable<TextPiece> | Iterable<TextPiece>,
): AsyncGenerator<GenerateEvent> {
  for await (const { text, tokens } of pieces) {
    if (text !== "" || tokens.length > 0) yield { type: "text", text, tokens };
  }
}

function beginEvent(
  { running }: RouterState,
  { resume }: GenerateRequest,
  answer: Answer,
  path: readonly Visit[],
): GenerateEvent {
  const { name, model } = answer.level;
  return {
    type: "begin",
    level: name,
    model: model.hash,
    path: [...path],
    promptTokens: answer.promptTokens,
    resumed: resume?.ids.length ?? 0,
    load: running,
  };
}

function endEvent(answer: Answer, path: readonly Visit[]): GenerateEvent {
  return {
    type: "end",
    finish: answer.finish,
    usage: { promptTokens: answer.promptTokens, completionTokens: answer.completionTokens },
    route: { level: answer.level.name, confidence: answer.confidence, path },
  };
}
