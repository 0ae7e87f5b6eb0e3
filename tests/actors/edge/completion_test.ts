import { deepEqual, equal, match } from "node:assert/strict";
import { type Json, readChunks, route, withEdge } from "./support.ts";

const path = "/v1/completions";

Deno.test("completions answer in OpenAI's form", () =>
  withEdge(async ({ post, script }) => {
    const response = await post(path, { model: "zoo/giant", prompt: "1+1=", max_tokens: 3 });
    equal(response.headers.get("x-tandem-level"), "giant");
    const { id, created: _, system_fingerprint: __, ...body } = await response.json();
    match(id, /^cmpl-/);
    deepEqual(body, {
      object: "text_completion",
      model: "zoo/giant",
      choices: [{ index: 0, text: "Hello wörld", logprobs: null, finish_reason: "stop" }],
      usage: { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 },
      tandem: route,
    });
    deepEqual(script.requests[0]?.prompt, { kind: "text", text: "1+1=" });
    equal(script.requests[0]?.level, "giant");
  }));

Deno.test("completions take texts and token ids, and answer each prompt n times in order", () =>
  withEdge(async ({ post, script }) => {
    const ask = async (fields: Record<string, unknown>) => {
      script.requests.length = 0;
      const body = await (await post(path, { model: "zoo", ...fields })).json();
      return { body, prompts: script.requests.map(({ prompt }) => prompt) };
    };
    const text = (text: string) => ({ kind: "text", text });
    const ids = (...ids: number[]) => ({ kind: "ids", ids });
    const two = await ask({ prompt: ["a", "b"], n: 2, seed: 7 });
    deepEqual(two.prompts, [text("a"), text("a"), text("b"), text("b")]);
    deepEqual(script.requests.map(({ sampling }) => sampling.seed), [7, 8, 7, 8]);
    deepEqual(two.body.choices.map(({ index }: Json) => index), [0, 1, 2, 3]);
    deepEqual(two.body.usage, { prompt_tokens: 10, completion_tokens: 12, total_tokens: 22 });
    deepEqual((await ask({ prompt: [1, 2] })).prompts, [ids(1, 2)]);
    deepEqual((await ask({ prompt: [[1], [2, 3]] })).prompts, [ids(1), ids(2, 3)]);
  }));

Deno.test("completions echo text prompts, streamed or not", () =>
  withEdge(async ({ post }) => {
    const asked = { model: "zoo", prompt: ["a=", "b="], n: 2, echo: true };
    const { choices } = await (await post(path, asked)).json();
    const texts = ["a=Hello wörld", "a=Hello wörld", "b=Hello wörld", "b=Hello wörld"];
    deepEqual(choices.map(({ text }: Json) => text), texts);
    const chunks = await readChunks(await post(path, { ...asked, stream: true }));
    const streamed = ["", "", "", ""];
    for (const { choices: [choice] } of chunks) streamed[choice.index] += choice.text;
    deepEqual(streamed, texts);
  }));

Deno.test("completions stream text and log-probabilities with offsets", () =>
  withEdge(async ({ post }) => {
    const asked = { model: "zoo", prompt: "x", logprobs: 1 };
    const whole = (await (await post(path, asked)).json()).choices[0].logprobs;
    deepEqual(whole, {
      tokens: ["Hel", "lo", " wörld"],
      token_logprobs: [-0.5, -0.5, -0.5],
      top_logprobs: [{ Hel0: -1 }, { lo0: -1 }, { " wörld0": -1 }],
      text_offset: [0, 3, 5],
    });
    const chunks = await readChunks(await post(path, { ...asked, stream: true }));
    equal(chunks[0]?.object, "text_completion");
    deepEqual(chunks.map(({ choices }) => choices[0].text), ["Hel", "lo", " wörld", ""]);
    deepEqual(
      chunks.flatMap(({ choices }) => choices[0].logprobs?.text_offset ?? []),
      whole.text_offset,
    );
    equal(chunks.at(-1)?.tandem.level, "giant");
  }));
