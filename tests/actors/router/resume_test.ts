import assert from "node:assert/strict";
import type {
  BeginEvent,
  EndEvent,
  GenerateRequest,
  Resume,
  RouterProtocol,
  TextEvent,
} from "../../../actors/protocol.ts";
import type { ActorRef } from "../../../runtime/mod.ts";
import { withFamily } from "../node/support.ts";
import { rejectsWith } from "../../runtime/support/assert.ts";
import { sharedTest } from "../../support/shared.ts";

const path = "models/stories260K";

interface Heard {
  readonly begin: BeginEvent;
  readonly texts: readonly TextEvent[];
  readonly end?: EndEvent;
}

/** Reads an answer, or its first `events` texts. */
async function listen(
  router: ActorRef<RouterProtocol>,
  request: GenerateRequest,
  events = Infinity,
): Promise<Heard> {
  let begin: BeginEvent | undefined;
  const texts: TextEvent[] = [];
  for await (const event of router.stream("generate", request)) {
    if (event.type === "begin") begin = event;
    else if (event.type === "end") return { begin: begin!, texts, end: event };
    else texts.push(event);
    if (texts.length >= events) break;
  }
  return { begin: begin!, texts };
}

function textOf(...parts: readonly Heard[]): string {
  return parts.flatMap(({ texts }) => texts).map(({ text }) => text).join("");
}

function idsOf(...parts: readonly Heard[]): number[] {
  return parts.flatMap(({ texts }) => texts).flatMap(({ tokens }) => tokens.map(({ id }) => id));
}

function resumeFrom({ begin, texts }: Heard): Resume {
  const { level, model, path } = begin;
  const tokens = texts.flatMap(({ tokens }) => tokens);
  return {
    level,
    model,
    path,
    ids: tokens.map(({ id }) => id),
    logprobs: tokens.map(({ logprob }) => logprob),
    characters: texts.reduce((sum, { text }) => sum + text.length, 0),
  };
}

const requests: Readonly<Record<string, Partial<GenerateRequest>>> = {
  greedy: { sampling: { temperature: 0, seed: 1 }, maxTokens: 40 },
  sampled: { sampling: { temperature: 1, seed: 77 }, maxTokens: 40 },
  penalised: {
    sampling: { temperature: 0.9, repetitionPenalty: 1.2, frequencyPenalty: 0.5, seed: 3 },
    maxTokens: 40,
  },
  "cut by a stop string": {
    sampling: { temperature: 0, seed: 1 },
    maxTokens: 200,
    stop: ["park", "the d"],
  },
};

for (const [name, fields] of Object.entries(requests)) {
  sharedTest(
    `a router goes on with a ${name} answer from wherever it broke off`,
    path,
    (dir) =>
      withFamily([{ name: "one", model: dir }], async (router) => {
        const request = {
          id: "x",
          prompt: { kind: "text", text: "Once upon a time" },
          stop: [],
          sampling: {},
          ...fields,
        } as const;
        const whole = await listen(router, request);
        assert.equal(whole.begin.resumed, 0);
        for (const cut of [0, 1, 7, 8, whole.texts.length - 1, whole.texts.length]) {
          const first = await listen(router, request, cut);
          const second = await listen(router, { ...request, resume: resumeFrom(first) });
          assert.equal(second.begin.resumed, idsOf(first).length);
          assert.equal(textOf(first, second), textOf(whole), `cut after ${cut}`);
          assert.deepEqual(idsOf(first, second), idsOf(whole), `cut after ${cut}`);
          assert.deepEqual(second.end?.usage, whole.end?.usage);
          assert.equal(second.end?.finish, whole.end?.finish);
        }
      }),
  );
}

sharedTest(
  "a router refuses to go on with tokens of another model",
  path,
  (dir) =>
    withFamily([{ name: "one", model: dir }], async (router) => {
      const request = {
        id: "x",
        prompt: { kind: "text", text: "Once" },
        maxTokens: 8,
        stop: [],
        sampling: { temperature: 0, seed: 1 },
      } as const;
      const resume = resumeFrom(await listen(router, request, 2));
      for (const other of [{ model: "sha256:0" }, { level: "two" }]) {
        await rejectsWith("Moved", listen(router, { ...request, resume: { ...resume, ...other } }));
      }
      const ids = [-1, ...resume.ids.slice(1)];
      await rejectsWith("AppError", listen(router, { ...request, resume: { ...resume, ids } }));
      assert.equal((await router.ask("status")).ready, true);
    }),
);
