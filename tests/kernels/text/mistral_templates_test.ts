import assert from "node:assert/strict";
import { createChatTemplate } from "../../../kernels/text/mod.ts";
import { sharedTest } from "../../support/shared.ts";

const folder = "data/mistral-tokenizer";

/**
 * The goldens are token texts of Mistral's own encoder, which does two things that its templates cannot:
 * it parses tool results that are JSON, and version 2 joins the results of parallel calls. Both are done
 * to the rendered text here; everything else is exact.
 */
function asEncoder(rendered: string, version: number): string {
  const parsed = rendered.replace(/"content": ("(?:[^"\\]|\\.)*")/g, (all, content) => {
    const value = parseObject(JSON.parse(content));
    return value === undefined ? all : `"content": ${spaced(value)}`;
  });
  return version === 2 ? parsed.replaceAll("}][/TOOL_RESULTS][TOOL_RESULTS] [{", "}, {") : parsed;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  return text.startsWith("{") ? JSON.parse(text) : undefined;
}

/** JSON with Python's separators, for flat objects. */
function spaced(value: Record<string, unknown>): string {
  const members = Object.entries(value).map(([key, member]) =>
    `${JSON.stringify(key)}: ${JSON.stringify(member)}`
  );
  return `{${members.join(", ")}}`;
}

function golden(path: string): string {
  return Deno.readTextFileSync(path).replaceAll("\u2581", " ").replaceAll("<0x0A>", "\n")
    .replace(/\n$/, "");
}

function samplesOf(dir: string, version: number): string[] {
  return [...Deno.readDirSync(`${dir}/samples`)].map(({ name }) => name).sort().filter((name) =>
    [...Deno.readDirSync(`${dir}/samples/${name}`)].some((file) =>
      file.name === `text_v${version}.txt`
    )
  );
}

for (const [version, samples] of [[1, 1], [2, 6], [3, 6]] as const) {
  sharedTest(`render() gives Mistral's goldens of version ${version}`, folder, async (dir, t) => {
    const source = Deno.readTextFileSync(`${dir}/chat_templates/v${version}_spm.jinja`);
    const template = createChatTemplate(source, { bosToken: "<s>", eosToken: "</s>" });
    const names = samplesOf(dir, version);
    assert.equal(names.length, samples);
    for (const name of names) {
      await t.step(name, () => {
        const path = `${dir}/samples/${name}`;
        const { messages, tools } = JSON.parse(Deno.readTextFileSync(`${path}/sample.json`));
        const rendered = template.render(messages, { tools, addGenerationPrompt: false });
        assert.equal(asEncoder(rendered, version), golden(`${path}/text_v${version}.txt`));
      });
    }
  });
}
