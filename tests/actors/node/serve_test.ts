import assert from "node:assert/strict";
import OpenAI, { APIError, BadRequestError, NotFoundError } from "openai";
import { generate } from "../../../examples/zoo/tasks/mod.ts";
import { sharedTest } from "../../support/shared.ts";
import { runTask, startServerProcess } from "../../support/server.ts";

const root = new URL("../../..", import.meta.url).pathname;

Deno.test("deno task serve answers the openai client", async (t) => {
  const server = await startServerProcess(root, ["--log-level", "warn"]);
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  const ask = (content: string, model = "zoo") =>
    client.chat.completions.create({ model, messages: [{ role: "user", content }] });
  try {
    await t.step("lists the family and its levels", async () => {
      const names = [];
      for await (const { id } of client.models.list()) names.push(id);
      assert.deepEqual(names, ["zoo", "zoo/small", "zoo/giant"]);
    });

    await t.step("answers, and says level, confidence and path", async () => {
      const answer = await ask("3421cm to mm=") as OpenAI.ChatCompletion & {
        tandem: Record<string, unknown>;
      };
      assert.equal(answer.choices[0]!.message.content, "34210");
      assert.equal(answer.choices[0]!.finish_reason, "stop");
      assert.equal(answer.tandem.level, "small");
      assert.equal(typeof answer.tandem.confidence, "number");
      assert.equal((answer.tandem.path as unknown[]).length, 1);
    });

    await t.step("escalates what the small level is unsure of", async () => {
      const unsure = generate({ split: "test", count: 60, seed: 5, difficulties: [0, 0, 0, 1] });
      const answers = await Promise.all(unsure.map(({ prompt }) => ask(prompt)));
      const levels = answers.map((answer) =>
        (answer as unknown as { tandem: { level: string } }).tandem.level
      );
      assert(levels.includes("giant") && levels.includes("small"), levels.join());
    });

    await t.step("streams the same text, with usage", async () => {
      const whole = await ask("sort hand dawn bell=", "zoo/giant");
      const stream = await client.chat.completions.create({
        model: "zoo/giant",
        messages: [{ role: "user", content: "sort hand dawn bell=" }],
        stream: true,
        stream_options: { include_usage: true },
      });
      let [text, chunks, usage] = ["", 0, 0];
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? "";
        chunks++;
        usage = chunk.usage?.completion_tokens ?? usage;
      }
      assert.equal(text, "bell dawn hand");
      assert.equal(text, whole.choices[0]!.message.content);
      assert(chunks > 5, "text came piece by piece");
      assert.equal(usage, whole.usage!.completion_tokens);
    });

    await t.step(
      "gives log-probabilities, stops at strings, repeats seeds, makes n choices",
      async () => {
        const options = {
          model: "zoo/small",
          messages: [{ role: "user", content: "reverse abcdef=" }],
        } as const;
        const create = (more: Record<string, unknown>) =>
          client.chat.completions.create({ ...options, messages: [...options.messages], ...more });
        const logged = await create({ logprobs: true, top_logprobs: 3 }) as OpenAI.ChatCompletion;
        const [first] = logged.choices[0]!.logprobs!.content!;
        assert.equal(first!.token, "f");
        assert.equal(first!.top_logprobs.length, 3);
        assert.equal(first!.top_logprobs[0]!.logprob, first!.logprob);
        const stopped = await create({ stop: ["dc"] }) as OpenAI.ChatCompletion;
        assert.equal(stopped.choices[0]!.message.content, "fe");
        const hot = { temperature: 2, seed: 7, n: 4 };
        const [one, two] = [await create(hot), await create(hot)] as OpenAI.ChatCompletion[];
        assert.equal(one!.choices.length, 4);
        assert.deepEqual(
          one!.choices.map((c) => c.message.content),
          two!.choices.map((c) => c.message.content),
        );
        assert(new Set(one!.choices.map((c) => c.message.content)).size > 1, "choices differ");
      },
    );

    await t.step("answers 64 concurrent requests as one by one", async () => {
      const items = generate({ split: "test", count: 64, seed: 3 });
      const together = await Promise.all(items.map(({ prompt }) => ask(prompt)));
      for (const [i, { prompt }] of items.slice(0, 12).entries()) {
        const alone = await ask(prompt);
        assert.equal(together[i]!.choices[0]!.message.content, alone.choices[0]!.message.content);
      }
    });

    await t.step("an aborted request frees its replica", async () => {
      const abort = new AbortController();
      const stream = await client.chat.completions.create({
        model: "zoo/giant",
        messages: [{ role: "user", content: "sort hand dawn bell boat=" }],
        stream: true,
      }, { signal: abort.signal });
      for await (const chunk of stream) {
        if (chunk.choices[0]?.delta.content) abort.abort();
      }
      for (let tries = 0, running = 1; running > 0; tries++) {
        assert(tries < 200, "the replica still runs the request");
        const status = await (await fetch(`${server.url}/status`)).text();
        running = status.match(/"running":[1-9]/g)?.length ?? 0;
      }
    });

    await t.step("refuses in OpenAI's shape", async () => {
      await assert.rejects(ask("1+1=", "nothing"), (error) => {
        assert(error instanceof NotFoundError);
        assert.equal(error.code, "model_not_found");
        return true;
      });
      await assert.rejects(ask("1".repeat(200)), (error) => {
        assert(error instanceof BadRequestError);
        assert.equal(error.code, "context_length_exceeded");
        return true;
      });
      const bad = client.completions.create({ model: "zoo", prompt: "1+1=", max_tokens: -1 });
      await assert.rejects(bad, (error) => error instanceof APIError && error.status === 400);
    });

    await t.step("health, readiness and metrics", async () => {
      for (const path of ["healthz", "readyz"]) {
        const response = await fetch(`${server.url}/${path}`);
        await response.body?.cancel();
        assert.equal(response.status, 200);
      }
      const metrics = await (await fetch(`${server.url}/metrics`)).text();
      assert.match(metrics, /^# TYPE /m);
      assert.match(metrics, /zoo/);
    });
  } finally {
    const { code, stderr } = await server.stop();
    assert.equal(code, 0, stderr);
  }
});

for (const model of ["stories260K", "stories260K-moe4"]) {
  sharedTest(`${model} reproduces its published text over HTTP`, `models/${model}`, async (dir) => {
    const server = await startServerProcess(root, ["--model", dir]);
    try {
      const expected = JSON.parse(await Deno.readTextFile(`${dir}/expected_greedy.json`));
      const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
      const answer = await client.completions.create({
        model,
        prompt: expected.prompt_ids,
        max_tokens: expected.ids.length,
        logprobs: 0,
      });
      const [choice] = answer.choices;
      assert.equal(choice!.text.trim(), expected.text.trim());
      assert.equal(choice!.logprobs!.tokens!.length, expected.ids.length);
    } finally {
      assert.equal((await server.stop()).code, 0);
    }
  });
}

Deno.test("a server started from a clean clone answers a request", async () => {
  const clone = await Deno.makeTempDir();
  try {
    const git = new Deno.Command("git", {
      args: ["clone", "--quiet", "--depth", "1", `file://${root}`, clone],
    });
    assert((await git.output()).success);
    const server = await startServerProcess(clone, []);
    try {
      assert.match(server.greeting, /zoo: zoo\/small -> zoo\/giant/);
      const response = await fetch(`${server.url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          model: "zoo",
          messages: [{ role: "user", content: "3421cm to mm=" }],
        }),
      });
      assert.equal((await response.json()).choices[0].message.content, "34210");
    } finally {
      assert.equal((await server.stop("SIGTERM")).code, 0);
    }
  } finally {
    await Deno.remove(clone, { recursive: true });
  }
});

Deno.test("deno task serve refuses bad starts in one line", async (t) => {
  const refuses = async (name: string, args: readonly string[], message: RegExp, env = {}) => {
    await t.step(name, async () => {
      const { code, stderr } = await runTask(["serve", ...args], env);
      assert.notEqual(code, 0);
      assert.match(stderr, message);
      assert(!/\n\s+at /.test(stderr), stderr);
      assert.equal(
        stderr.trim().split("\n").filter((line) => !/^(Computing|Loading|\S*Check)/.test(line))
          .length,
        1,
        stderr,
      );
    });
  };
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/config.json`, '{"architectures":["GPT2LMHeadModel"]}');
  await Deno.writeTextFile(`${folder}/tandem.json`, '{"listen":{"port":-1}}');
  await Deno.writeTextFile(`${folder}/small.json`, '{"devices":[{"name":"cpu","memory":"2MB"}]}');
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  try {
    await refuses("an unknown option", ["--modle", "x"], /did you mean --model\?.*--modle/);
    await refuses(
      "a missing folder",
      ["--model", "/nowhere"],
      /Cannot find model: \/nowhere/,
    );
    await refuses("a half-copied folder", ["--model", folder], /^Cannot /);
    await refuses("a wrong value", ["--config", `${folder}/tandem.json`], /listen\.port.*-1/);
    await refuses(
      "too little memory",
      ["--config", `${folder}/small.json`],
      /memory of local\/cpu: \d+ MB/,
    );
    await refuses("a port in use", ["--port", String(port)], new RegExp(`port ${port} is in use`));
    await refuses("an open address without keys", ["--host", "0.0.0.0"], /keys/);
  } finally {
    listener.close();
    await Deno.remove(folder, { recursive: true });
  }
});
