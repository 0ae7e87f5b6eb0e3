import { deepEqual, equal, match, notEqual } from "node:assert/strict";
import type { GenerateEvent } from "../../../actors/protocol.ts";
import { chat, end, type Json, readChunks, route, token, withEdge } from "./support.ts";

const path = "/v1/chat/completions";

Deno.test("chat answers in OpenAI's form and says level, confidence and path", () =>
  withEdge(async ({ post, script }) => {
    const response = await post(path, chat());
    equal(response.status, 200);
    const { id, created, system_fingerprint, ...body } = await response.json();
    match(id, /^chatcmpl-\w{32}$/);
    equal(created, 1000);
    match(system_fingerprint, /^fp_[0-9a-f]{12}$/);
    deepEqual(body, {
      object: "chat.completion",
      model: "zoo",
      choices: [{
        index: 0,
        message: { role: "assistant", content: "Hello wörld", refusal: null },
        logprobs: null,
        finish_reason: "stop",
      }],
      usage: { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 },
      tandem: route,
    });
    const headers = Object.fromEntries(response.headers);
    equal(headers["x-tandem-level"], "giant");
    equal(headers["x-tandem-confidence"], "-0.1250");
    equal(headers["x-tandem-path"], "small;escalated;-1.5000, giant;accepted;-0.1250");
    equal(`chatcmpl-${headers["x-request-id"]}`, id);
    const seed = script.requests[0]?.sampling.seed;
    equal(typeof seed, "number");
    deepEqual(script.requests.map(({ id: _, ...rest }) => rest), [{
      prompt: { kind: "messages", messages: [{ role: "user", content: "Hi" }] },
      stop: [],
      sampling: { seed },
    }]);
  }));

Deno.test("chat passes on what it was asked", () =>
  withEdge(async ({ post, script }) => {
    const messages = [
      { role: "developer", content: "Be brief" },
      {
        role: "user",
        content: [{ type: "text", text: "a" }, { type: "text", text: "b" }],
        name: "x",
      },
      { role: "assistant", content: "c" },
    ];
    const response = await post(path, {
      model: "zoo/small",
      messages,
      max_tokens: 4,
      max_completion_tokens: 7,
      temperature: 0.5,
      top_p: 0.9,
      top_k: -1,
      min_p: 0.1,
      presence_penalty: -1,
      frequency_penalty: 1,
      repetition_penalty: 1.1,
      seed: -1,
      stop: ["x", "y"],
      logprobs: true,
      top_logprobs: 2,
      user: "u",
      tools: [],
      response_format: { type: "text" },
      n: null,
      some_extra: { of: "a client" },
    });
    equal(response.status, 200);
    equal((await response.json()).model, "zoo/small");
    const [{ id: _, ...request }] = script.requests as [Json];
    deepEqual(request, {
      level: "small",
      prompt: {
        kind: "messages",
        messages: [
          { role: "system", content: "Be brief" },
          { role: "user", content: "ab", name: "x" },
          { role: "assistant", content: "c" },
        ],
      },
      maxTokens: 7,
      stop: ["x", "y"],
      sampling: {
        temperature: 0.5,
        topK: 0,
        topP: 0.9,
        minP: 0.1,
        repetitionPenalty: 1.1,
        presencePenalty: -1,
        frequencyPenalty: 1,
        seed: 2 ** 53 - 1,
      },
      logprobs: 2,
    });
  }));

Deno.test("chat streams role, text, end with route, usage and [DONE]", () =>
  withEdge(async ({ post, edge }) => {
    const asked = chat({ stream: true, stream_options: { include_usage: true } });
    const response = await post(path, asked);
    match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
    equal(edge.inFlight, 1);
    const chunks = await readChunks(response);
    equal(edge.inFlight, 0);
    const choice = (delta: object, finish: string | null = null) => [
      { index: 0, delta, logprobs: null, finish_reason: finish },
    ];
    deepEqual(chunks.map(({ choices }) => choices), [
      choice({ role: "assistant", content: "" }),
      choice({ content: "Hel" }),
      choice({ content: "lo" }),
      choice({ content: " wörld" }),
      choice({}, "stop"),
      [],
    ]);
    deepEqual(chunks.map(({ usage }) => usage?.total_tokens ?? null), [...Array(5).fill(null), 8]);
    deepEqual(chunks.map(({ tandem }) => tandem), [...Array(4).fill(undefined), route, undefined]);
    equal(new Set(chunks.map(({ id, created, object }) => `${id}${created}${object}`)).size, 1);
    equal(chunks[0]?.object, "chat.completion.chunk");
  }));

Deno.test("chat streams no usage unless asked", () =>
  withEdge(async ({ post }) => {
    const chunks = await readChunks(await post(path, chat({ stream: true })));
    equal(chunks.length, 5);
    equal(chunks.some((chunk) => "usage" in chunk), false);
  }));

Deno.test("chat gives n choices of seeds in a row and counts the prompt once", () =>
  withEdge(async ({ post, script }) => {
    const body = await (await post(path, chat({ n: 3, seed: 2 ** 53 - 2 }))).json();
    deepEqual(body.choices.map(({ index }: Json) => index), [0, 1, 2]);
    deepEqual(body.choices.map(({ tandem }: Json) => tandem.level), Array(3).fill("giant"));
    deepEqual(body.usage, { prompt_tokens: 5, completion_tokens: 9, total_tokens: 14 });
    const seeds = script.requests.map(({ sampling }) => sampling.seed);
    deepEqual(seeds, [2 ** 53 - 2, 2 ** 53 - 1, 0]);
    equal(new Set(script.requests.map(({ id }) => id)).size, 3);
    const chunks = await readChunks(await post(path, chat({ n: 2, stream: true })));
    for (const index of [0, 1]) {
      const own = chunks.filter(({ choices }) => choices[0].index === index);
      equal(own[0].choices[0].delta.role, "assistant");
      equal(own.map(({ choices }) => choices[0].delta.content ?? "").join(""), "Hello wörld");
      equal(own.at(-1)?.choices[0].finish_reason, "stop");
    }
  }));

Deno.test("chat gives log-probabilities with bytes and alternatives, streamed or not", () =>
  withEdge(async ({ post, script }) => {
    const asked = chat({ logprobs: true, top_logprobs: 2 });
    const whole = (await (await post(path, asked)).json()).choices[0].logprobs;
    equal(whole.refusal, null);
    deepEqual(whole.content[0], {
      token: "Hel",
      logprob: -0.5,
      bytes: [72, 101, 108],
      top_logprobs: [
        { token: "Hel0", logprob: -1, bytes: [72, 101, 108] },
        { token: "Hel1", logprob: -2, bytes: [72, 101, 108] },
      ],
    });
    const chunks = await readChunks(await post(path, { ...asked, stream: true }));
    const content = chunks.flatMap(({ choices }) => choices[0].logprobs?.content ?? []);
    deepEqual(content, whole.content);
    await (await post(path, chat({ logprobs: true }))).body?.cancel();
    deepEqual(script.requests.map(({ logprobs }) => logprobs), [2, 2, 0]);
  }));

Deno.test("chat streams log-probabilities of tokens that show no text yet", () =>
  withEdge(async ({ post, script }) => {
    script.answer = async function* (): AsyncGenerator<GenerateEvent> {
      yield { type: "text", text: "", tokens: [token("\ufffd", 0)] };
      yield { type: "text", text: "é", tokens: [token("é", 0)] };
      yield await Promise.resolve(end);
    };
    const asked = chat({ stream: true });
    equal((await readChunks(await post(path, asked))).length, 3);
    equal((await readChunks(await post(path, { ...asked, logprobs: true }))).length, 4);
  }));

Deno.test("chat answers under a fingerprint that changes with the thresholds", () =>
  withEdge(async ({ post, script, get }) => {
    const ask = async () => (await (await post(path, chat())).json()).system_fingerprint;
    const before = await ask();
    equal(await ask(), before);
    const levels = script.status.levels.map((level) => ({ ...level, threshold: -9 }));
    script.status = { ...script.status, levels };
    await (await get("/readyz")).body?.cancel();
    notEqual(await ask(), before);
  }));
