import { z } from "zod";
import {
  type Check,
  checkAnswerBy,
  checkBy,
  count,
  logprob,
  sampling,
  shortText,
  tokenId,
} from "./check.ts";
import type { FamilyStatus, GenerateEvent, GenerateRequest } from "../protocol.ts";

/** More items in any list than a request can mean: memory is bounded by the message's bytes anyway. */
const most = 2 ** 22;

const chatMessage = z.object({
  role: shortText,
  content: z.string(),
  name: shortText.exactOptional(),
});

const prompt = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("messages"), messages: z.array(chatMessage).max(65_536) }),
  z.object({ kind: z.literal("text"), text: z.string() }),
  z.object({ kind: z.literal("ids"), ids: z.array(tokenId).max(most) }),
]);

const visit = z.object({
  level: shortText,
  confidence: logprob.nullable(),
  threshold: logprob.nullable(),
  outcome: z.enum(["accepted", "escalated"]),
  tokens: count,
  milliseconds: z.number(),
});

const path = z.array(visit).max(256);

const resume = z.object({
  level: shortText,
  model: shortText,
  path,
  ids: z.array(tokenId).max(most),
  logprobs: z.array(logprob).max(most),
  characters: count,
}).refine(({ ids, logprobs }) => ids.length === logprobs.length, {
  error: "must have a log-probability for each id",
});

const generateRequest = z.object({
  id: shortText,
  level: shortText.exactOptional(),
  prompt,
  maxTokens: z.int().positive().exactOptional(),
  stop: z.array(z.string().min(1).max(4096)).max(64),
  sampling: sampling.partial(),
  logprobs: z.int().min(0).max(20).exactOptional(),
  resume: resume.exactOptional(),
});

const tokenLogprob = z.object({
  token: z.string(),
  bytes: z.array(z.int().min(0).max(255)).max(65_536),
  logprob,
});

const generatedToken = tokenLogprob.extend({
  id: tokenId,
  top: z.array(tokenLogprob).max(20),
});

const generateEvent = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("begin"),
    level: shortText,
    model: shortText,
    path,
    promptTokens: count,
    resumed: count,
    load: count,
  }),
  z.object({ type: z.literal("text"), text: z.string(), tokens: z.array(generatedToken) }),
  z.object({
    type: z.literal("end"),
    finish: z.enum(["stop", "length"]),
    usage: z.object({ promptTokens: count, completionTokens: count }),
    route: z.object({ level: shortText, confidence: logprob.nullable(), path }),
  }),
]);

const replica = z.object({
  address: z.string().max(512),
  alive: z.boolean(),
  running: count,
  waiting: count,
  pages: z.tuple([count, count]),
  steps: count.nullable(),
});

const level = z.object({
  name: shortText,
  architecture: shortText,
  model: shortText,
  context: count,
  threshold: logprob.nullable(),
  replicas: z.array(replica).max(65_536),
});

const familyStatus = z.object({
  family: shortText,
  ready: z.boolean(),
  levels: z.array(level).max(256),
  requests: z.object({ running: count, finished: count, failed: count }),
  answered: z.record(shortText, count),
});

/** Checks what a router is asked to generate. */
export const checkGenerateRequest: Check<GenerateRequest> = checkBy(generateRequest);

/** Checks what a router streams back. */
export const checkGenerateEvent: Check<GenerateEvent> = checkAnswerBy(generateEvent);

/** Checks what a router reports of its family. */
export const checkStatus: Check<FamilyStatus> = checkAnswerBy(familyStatus);
