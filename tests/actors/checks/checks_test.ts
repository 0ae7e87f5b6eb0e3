import { doesNotThrow, throws } from "node:assert/strict";
import fc from "fast-check";
import {
  checkGenerateEvent,
  checkGenerateRequest,
  checkHiddenStates,
  checkPartitionStep,
  checkReplicaRequest,
  checkSampledToken,
  checkShardRequest,
  checkStatus,
  checkStepResult,
} from "../../../actors/checks/mod.ts";
import { createStep, MOST_ROUNDS } from "../../../kernels/mod.ts";
import { ActorError } from "../../../runtime/mod.ts";
import { createScript, end, route, token } from "../edge/support.ts";

const request = {
  id: "a",
  prompt: { kind: "messages", messages: [{ role: "user", content: "Hi" }] },
  stop: ["x"],
  sampling: { temperature: 0, seed: 2 ** 53 - 1 },
  resume: {
    level: "giant",
    model: "sha256:0",
    path: route.path,
    ids: [1, 2],
    logprobs: [-0.5, -Infinity],
    characters: 3,
  },
};

const sampling = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  seed: 0,
};

const replicaRequest = {
  id: "a",
  ids: Int32Array.of(1, 2),
  promptLength: 2,
  maxTokens: 1,
  eosIds: [2],
  sampling,
  alternatives: 0,
};

const capacity = { tokens: 4, samples: 2, sequences: 2, sequencePages: 2, history: 8 };
const step = { ...createStep(capacity), tokens: 1, samples: 1 };
const partitionStep = (changes: Partial<Record<keyof typeof step, unknown>> = {}) => ({
  id: "a-1",
  step: { ...step, ...changes },
});
const sampled = { id: 1, logprob: -1, margin: 0, entropy: Infinity };
const begin = {
  type: "begin",
  level: "a",
  model: "b",
  path: [],
  promptTokens: 5,
  resumed: 0,
  load: 1,
};
const experts = {
  layer: 0,
  tokens: 1,
  x: new Float32Array(4),
  experts: new Int32Array(2),
  weights: new Float32Array(2),
};
const result = { sampled: new Int32Array(1), stats: new Float32Array(4) };

type Changes = readonly Readonly<Record<string, unknown>>[];

const cases: readonly (readonly [string, (message: unknown) => void, object, Changes])[] = [
  ["checkGenerateRequest", checkGenerateRequest, request, [
    { id: 1 },
    { prompt: { kind: "image" } },
    { prompt: { kind: "ids", ids: [-1] } },
    { stop: [""] },
    { sampling: { temperature: NaN } },
    { sampling: { seed: 0.5 } },
    { maxTokens: 0 },
    { resume: { ...request.resume, logprobs: [] } },
    { resume: { ...request.resume, ids: [1.5, 2] } },
  ]],
  ["checkGenerateEvent", checkGenerateEvent, begin, [
    { type: "other" },
    { resumed: -1 },
    { path: [{}] },
  ]],
  ["checkGenerateEvent", checkGenerateEvent, { type: "text", text: "a", tokens: [token("a", 2)] }, [
    { text: null },
    { tokens: [{ ...token("a", 0), id: "1" }] },
    { tokens: [{ ...token("a", 0), bytes: [256] }] },
  ]],
  ["checkGenerateEvent", checkGenerateEvent, end, [{ finish: "never" }, { usage: {} }]],
  ["checkStatus", checkStatus, createScript().status, [{ levels: {} }, { answered: { a: "1" } }]],
  ["checkReplicaRequest", checkReplicaRequest, replicaRequest, [
    { ids: [1, 2] },
    { promptLength: 3 },
    { sampling: { ...sampling, topP: 0 } },
  ]],
  ["checkSampledToken", checkSampledToken, sampled, [{ id: undefined }, { logprob: NaN }]],
  ["checkPartitionStep", checkPartitionStep, partitionStep({ rounds: MOST_ROUNDS }), [
    { next: 1 },
    partitionStep({ tokens: 5 }),
    partitionStep({ samples: 3 }),
    partitionStep({ tables: 0 }),
    partitionStep({ ids: new Float32Array(4) }),
    partitionStep({ indices: Int32Array.of(1, 0) }),
    partitionStep({ pages: Int32Array.of(-1, 0, 0, 0) }),
    partitionStep({ ids: Int32Array.of(-1, 0, 0, 0) }),
    partitionStep({ history: new Int32Array(3) }),
    partitionStep({ integers: Int32Array.of(0, 0, 0, 8, 1, 0, 0, 0) }),
    partitionStep({ integers: Int32Array.of(0, 0, 0, -1, 1, 0, 0, 0) }),
    partitionStep({ integers: Int32Array.of(0, 0, 0, 0, 0, -1, 0, 0) }),
    partitionStep({ integers: Int32Array.of(0, 0, 0, 0, 0, 0, 21, 0) }),
    partitionStep({ rounds: 0.5 }),
    partitionStep({ rounds: MOST_ROUNDS + 1 }),
  ]],
  ["checkHiddenStates", checkHiddenStates, { id: "a-1", hidden: new Float16Array(4) }, [
    { hidden: new Int32Array(4) },
    { id: 1 },
  ]],
  ["checkStepResult", checkStepResult, result, [{ sampled: [1] }]],
  ["checkShardRequest", checkShardRequest, experts, [{ x: new Int32Array(4) }, { layer: -1 }]],
];

for (const [name, check, good, changes] of cases) {
  Deno.test(`${name}() lets a message of ${Object.keys(good)} pass and nothing like it`, () => {
    doesNotThrow(() => check(good));
    doesNotThrow(() => check({ ...good, ofANewerBuild: 1 }));
    for (const change of changes) {
      throws(() => check({ ...good, ...change }), ActorError, Deno.inspect(change));
    }
    for (const field of Object.keys(good).filter((field) => field !== "resume")) {
      const { [field]: _, ...rest } = good as Record<string, unknown>;
      throws(() => check(rest), ActorError, `without ${field}`);
    }
  });

  Deno.test(`${name}() of ${Object.keys(good)} throws nothing but ActorError`, () => {
    fc.assert(fc.property(fc.anything(), (message) => {
      try {
        check(message);
      } catch (error) {
        if (!(error instanceof ActorError)) throw error;
      }
    }));
  });
}

Deno.test("a message that is refused names place, rule and value", () => {
  const resume = { ...request.resume, ids: [1, -2] };
  throws(() => checkGenerateRequest({ ...request, resume }), {
    message: "Cannot take the message, resume.ids[1] must be at least 0: -2",
  });
});
