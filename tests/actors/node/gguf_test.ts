import { openFolder, writeGguf } from "../../../bench/weights/mod.ts";
import assert from "node:assert/strict";
import { generate } from "../../../examples/zoo/tasks/mod.ts";
import { sharedTest } from "../../support/shared.ts";
import { greedyIds, prefixes, withFamily } from "./support.ts";

const zoo = new URL("../../../examples/zoo/models", import.meta.url).pathname;

/** Runs a body with a folder's model written as one GGUF file. */
async function withGguf(folder: string, body: (path: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    using source = openFolder(folder);
    writeGguf(`${dir}/model.gguf`, source, "test");
    await body(`${dir}/model.gguf`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** A zoo prompt as ids: `<bos>` and bytes. */
const promptIds = (prompt: string) => [256, ...new TextEncoder().encode(prompt)];

for (const name of ["small", "giant"]) {
  Deno.test(`zoo/${name} served from a GGUF file answers as from its folder`, async () => {
    const prompts = generate({ split: "test", count: 24, seed: 4 }).map((item) =>
      promptIds(item.prompt)
    );
    const answers: number[][][] = [];
    const answer = (model: string) =>
      withFamily([{ name, model }], async (router) => {
        answers.push(await Promise.all(prompts.map((ids) => greedyIds(router, ids, 12))));
      });
    await answer(`${zoo}/${name}`);
    await withGguf(`${zoo}/${name}`, answer);
    assert.deepEqual(answers[1], answers[0]);
  });
}

for (const model of ["stories260K", "stories260K-moe4"]) {
  sharedTest(
    `${model} served from a GGUF file reproduces its published ids`,
    `models/${model}`,
    async (dir) => {
      await withGguf(dir, (path) =>
        withFamily([{ name: "one", model: path }], async (router) => {
          for (const { prompt, next } of prefixes(dir, 8, 40)) {
            assert.deepEqual(await greedyIds(router, prompt, 40), next);
          }
        }));
    },
  );
}
