import assert from "node:assert/strict";
import { generate } from "../../../examples/zoo/tasks/mod.ts";
import { runTask, startServerProcess } from "../../support/server.ts";

const root = new URL("../../..", import.meta.url).pathname;
const models = ["small", "giant"].flatMap((
  name,
) => ["--model", `${root}examples/zoo/models/${name}`]);

async function ask(url: string, model: string, content: string) {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content }] }),
  });
  return (await response.json()).tandem;
}

Deno.test("deno task calibrate fits a family that deno task serve then cascades", async () => {
  const folder = await Deno.makeTempDir();
  const [items, out] = [`${folder}/items.jsonl`, `${folder}/thresholds.json`];
  try {
    const lines = generate({ split: "calibration", count: 300, seed: 2 });
    await Deno.writeTextFile(items, lines.map((item) => JSON.stringify(item)).join("\n"));
    const args = [
      ...models,
      "--family",
      "pair",
      "--items",
      items,
      "--out",
      out,
      "--tolerance",
      "0.05",
    ];
    const { code, stdout, stderr } = await runTask(["calibrate", ...args]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /thresholds\.json/);
    const server = await startServerProcess(root, [
      ...models,
      "--family",
      "pair",
      "--calibration",
      out,
    ]);
    const tandem = await ask(server.url, "pair", "3421cm to mm=");
    assert.equal((await server.stop()).code, 0);
    assert.equal(tandem.level, "small");
    assert.equal(typeof tandem.path[0].threshold, "number");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a family without a calibration answers with its last level, and says so", async () => {
  const server = await startServerProcess(root, [...models, "--family", "pair"]);
  const tandem = await ask(server.url, "pair", "3421cm to mm=");
  const { code, stderr } = await server.stop();
  assert.equal(code, 0);
  assert.equal(tandem.level, "giant");
  assert.match(stderr, /pair has no calibration/);
});

Deno.test("deno task calibrate refuses bad items in one line", async () => {
  const path = await Deno.makeTempFile();
  try {
    for (
      const [text, message] of [["{", /line 1: not JSON/], ['{"prompt":"x"}', /line 1, answer/], [
        "",
        /no items/,
      ]] as const
    ) {
      await Deno.writeTextFile(path, text);
      const { code, stderr } = await runTask(["calibrate", "--items", path]);
      assert.equal(code, 1);
      assert.match(stderr, message);
      assert.equal(stderr.trim().split("\n").length, 1, stderr);
    }
  } finally {
    await Deno.remove(path);
  }
});
