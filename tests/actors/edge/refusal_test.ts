import { deepEqual, equal, match, ok } from "node:assert/strict";
import fc from "fast-check";
import { chat, type Json, withEdge } from "./support.ts";

const chatPath = "/v1/chat/completions";
const textPath = "/v1/completions";
const image = { type: "image_url", image_url: { url: "data:" } };
const messages = (content: unknown, role = "user") => ({ messages: [{ role, content }] });

const chatCases: readonly (readonly [Record<string, unknown>, string, RegExp])[] = [
  [{ model: undefined }, "model", /model is required: missing/],
  [{ model: 3 }, "model", /model must be a string: 3/],
  [{ messages: undefined }, "messages", /messages is required: missing/],
  [{ messages: "hi" }, "messages", /messages must be a list: "hi"/],
  [{ messages: [] }, "messages", /must hold at least 1 item: empty list/],
  [{ messages: Array(5).fill(0) }, "messages", /must hold at most 4 items: list of 5/],
  [{ messages: [3] }, "messages[0]", /must be an object: 3/],
  [messages("hi", "tool"), "messages[0].role", /must be one of .*: "tool"/],
  [messages(null), "messages[0].content", /must be a string or a list: null/],
  [messages("\ud800"), "messages[0].content", /must be well-formed Unicode/],
  [
    messages([image]),
    "messages[0].content[0].type",
    /must be one of "text", "refusal": "image_url"/,
  ],
  [messages([{ type: "text" }]), "messages[0].content[0]", /must hold its text/],
  [messages("x".repeat(101)), "messages", /must have at most 100 characters: 101/],
  [{ max_tokens: -1 }, "max_tokens", /max_tokens must be at least 1: -1/],
  [{ max_completion_tokens: 1.5 }, "max_completion_tokens", /must be a whole number: 1.5/],
  [{ temperature: 3 }, "temperature", /must be at most 2: 3/],
  [{ temperature: "hot" }, "temperature", /must be a number: "hot"/],
  [{ top_p: -0.1 }, "top_p", /must be at least 0: -0.1/],
  [{ repetition_penalty: 0 }, "repetition_penalty", /must be more than 0: 0/],
  [{ n: 0 }, "n", /must be at least 1: 0/],
  [{ n: 17 }, "n", /must be at most 16: 17/],
  [{ n: 9 }, "n", /must ask for at most 8 choices, prompts times n: 9/],
  [{ seed: 0.5 }, "seed", /must be a whole number: 0.5/],
  [{ stop: 1 }, "stop", /must be a string or a list: 1/],
  [{ stop: Array(17).fill("x") }, "stop", /must hold at most 16 items: list of 17/],
  [{ stop: ["a", ""] }, "stop[1]", /must have at least 1 character: ""/],
  [{ stream: "yes" }, "stream", /must be true or false: "yes"/],
  [{ stream_options: { include_usage: 1 } }, "stream_options.include_usage", /true or false: 1/],
  [{ logprobs: 5 }, "logprobs", /must be true or false: 5/],
  [{ logprobs: true, top_logprobs: 21 }, "top_logprobs", /must be at most 20: 21/],
  [{ top_logprobs: 2 }, "top_logprobs", /needs logprobs to be true: 2/],
  [{ tools: [{ type: "function" }] }, "tools", /does not support it: tools/],
  [{ tool_choice: "auto" }, "tool_choice", /does not support it/],
  [{ functions: [{}] }, "functions", /does not support it/],
  [{ response_format: { type: "json_object" } }, "response_format", /does not support it/],
  [{ logit_bias: { 5: 1 } }, "logit_bias", /does not support it/],
  [{ audio: {} }, "audio", /does not support it/],
  [{ modalities: ["text", "audio"] }, "modalities", /does not support it/],
];

const textCases: readonly (readonly [Record<string, unknown>, string, RegExp])[] = [
  [{}, "prompt", /prompt is required: missing/],
  [{ prompt: 5 }, "prompt", /must be text or a list of token ids: 5/],
  [{ prompt: [] }, "prompt", /must hold at least 1 item/],
  [{ prompt: [[]] }, "prompt[0]", /must hold at least 1 item/],
  [{ prompt: ["a", 1] }, "prompt[1]", /must be text or a list of token ids: 1/],
  [{ prompt: [1, -2] }, "prompt[1]", /must be a token id: -2/],
  [{ prompt: [[1], [2, "x"]] }, "prompt[1][1]", /must be a token id: "x"/],
  [{ prompt: Array(9).fill("a") }, "prompt", /must hold at most 8 items/],
  [{ prompt: ["a", "b", "c"], n: 3 }, "n", /at most 8 choices, prompts times n: 9/],
  [{ prompt: "x".repeat(101) }, "prompt", /at most 100 characters: 101/],
  [{ prompt: "a", suffix: "b" }, "suffix", /does not support it/],
  [{ prompt: "a", best_of: 2 }, "best_of", /does not support it/],
  [{ prompt: "a", logprobs: true }, "logprobs", /must be a number: true/],
  [{ prompt: [1], echo: true }, "echo", /needs prompts of text/],
  [{ prompt: "a", echo: true, logprobs: 1 }, "echo", /does not go with logprobs/],
];

const limit = { messages: 4, promptCharacters: 100, choices: 8, bodyBytes: 4096 };

Deno.test("what cannot be used answers 400 and names the parameter and the value", () =>
  withEdge(async ({ post, script }) => {
    const requests = [
      ...chatCases.map(([fields, ...rest]) => [chatPath, chat(fields), ...rest] as const),
      ...textCases.map(([fields, ...rest]) =>
        [textPath, { model: "zoo", ...fields }, ...rest] as const
      ),
    ];
    for (const [path, body, param, message] of requests) {
      const response = await post(path, body);
      const { error } = await response.json();
      equal(response.status, 400, `${JSON.stringify(body)}: ${error.message}`);
      equal(error.type, "invalid_request_error");
      equal(error.param, param);
      match(error.message, message);
      ok(/^\w+$/.test(error.code) && !error.message.includes("\n"));
    }
    equal(script.requests.length, 0);
  }, { limit }));

Deno.test("what asks for nothing special is accepted", () =>
  withEdge(async ({ post }) => {
    const neutral = [
      { tools: null, tool_choice: "none", logit_bias: {}, stop: null, seed: null },
      { modalities: ["text"], store: false, reasoning_effort: "none", metadata: { a: "b" } },
      {
        top_p: 0,
        stop: [],
        temperature: 0,
        seed: 2 ** 63,
        messages: [{ role: "user", content: "" }],
      },
    ];
    for (const fields of neutral) equal((await post(chatPath, chat(fields))).status, 200);
    const text = { model: "zoo", prompt: "a", best_of: 2, n: 2, suffix: null };
    equal((await post(textPath, text)).status, 200);
  }));

Deno.test("bodies that are no JSON objects answer 400", () =>
  withEdge(async ({ post }) => {
    const bodies: readonly (readonly [string | Uint8Array, RegExp])[] = [
      ["", /body is empty/],
      ["{", /not JSON/],
      ["[1]", /must be an object: list/],
      ["null", /must be an object/],
      ["[".repeat(4000), /not JSON/],
      [new Uint8Array([123, 34, 255, 34, 125]), /not UTF-8/],
      [new Uint8Array([123, 34, 0xc3]), /not UTF-8/],
    ];
    for (const [body, message] of bodies) {
      const response = await post(chatPath, "", { body: body as BodyInit });
      equal(response.status, 400);
      match((await response.json()).error.message, message);
    }
  }, { limit }));

Deno.test("bodies over the limit answer 413, told or not told in advance, without being read whole", () =>
  withEdge(async ({ post }) => {
    const told = await post(chatPath, chat(messages("x".repeat(5000))));
    equal(told.status, 413);
    let pulled = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        pulled++;
        controller.enqueue(new Uint8Array(1024).fill(32));
      },
    });
    const streamed = await post(chatPath, "", { body: endless });
    equal(streamed.status, 413);
    deepEqual((await streamed.json()).error.code, "request_too_large");
    ok(pulled < 10);
  }, { limit }));

Deno.test("unknown models answer 404 and list what there is", () =>
  withEdge(async ({ post }) => {
    for (const model of ["gpt-4", "zoo/huge", "zoo/", "/", "zoo/small/x", "__proto__"]) {
      const response = await post(chatPath, chat({ model }));
      const { error } = await response.json();
      equal(response.status, 404);
      deepEqual([error.code, error.param], ["model_not_found", "model"]);
      match(error.message, /there are: zoo, zoo\/small, zoo\/giant\)/);
    }
  }));

const usable = fc.record({
  model: fc.constantFrom("zoo", "zoo/giant", "zoo/none"),
  messages: fc.array(
    fc.record({ role: fc.constantFrom("user", "system"), content: fc.string({ unit: "binary" }) }),
    { minLength: 1, maxLength: 3 },
  ),
  prompt: fc.oneof(fc.string(), fc.array(fc.nat(), { minLength: 1 })),
});

const hostile = fc.dictionary(
  fc.constantFrom(
    ...["model", "messages", "prompt", "n", "stop", "seed", "stream", "stream_options", "logprobs"],
    ...["temperature", "max_tokens", "tools", "response_format", "echo", "logit_bias", "best_of"],
    ...["__proto__", "constructor", "$x"],
  ),
  fc.oneof(fc.jsonValue(), fc.boolean(), fc.integer({ min: -1, max: 9 }), fc.double()),
  { maxKeys: 2 },
);

const jsonBody = fc.oneof(
  { arbitrary: fc.jsonValue(), weight: 1 },
  {
    arbitrary: fc.tuple(usable, hostile).map(([body, fields]) => ({ ...body, ...fields })),
    weight: 9,
  },
);

Deno.test("random bodies never give a 5xx, a stack trace or anything but OpenAI's form", () =>
  withEdge(async ({ post, edge }) => {
    const seen = new Set<number>();
    await fc.assert(
      fc.asyncProperty(jsonBody, fc.constantFrom(chatPath, textPath), async (body, path) => {
        const response = await post(path, body);
        const text = await response.text();
        seen.add(response.status);
        ok([200, 400, 404, 413].includes(response.status), `${response.status}: ${text}`);
        ok(!/\n\s+at |\.ts:\d/.test(text), text);
        if (response.status === 200) return;
        const { error } = JSON.parse(text) as Json;
        deepEqual(Object.keys(error), ["message", "type", "param", "code"]);
      }),
      { numRuns: 400, seed: 1 },
    );
    equal(edge.inFlight, 0);
    deepEqual([seen.has(200), seen.has(400), seen.has(404)], [true, true, true]);
  }, { limit }));
