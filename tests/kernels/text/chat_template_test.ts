import assert from "node:assert/strict";
import {
  type ChatMessage,
  createChatTemplate,
  findChatTemplate,
  MAX_TEMPLATE_LENGTH,
} from "../../../kernels/text/mod.ts";
import { sharedTest } from "../../support/shared.ts";

const tokens = { bosToken: "<s>", eosToken: "</s>" };
const conversation: ChatMessage[] = [
  { role: "system", content: "Be brief." },
  { role: "user", content: " Hi " },
  { role: "assistant", content: "Hello!" },
  { role: "user", content: "Bye?" },
];

/** Computed by hand from each template's text. */
const rendered: Record<string, string> = {
  "chatml": "<s><|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n" +
    "<|im_start|>assistant\nHello!<|im_end|>\n<|im_start|>user\nBye?<|im_end|>\n<|im_start|>assistant\n",
  "gemma-it": "<start_of_turn>user\nBe brief.\n\n Hi<end_of_turn>\n" +
    "<start_of_turn>model\nHello!<end_of_turn>\n<start_of_turn>user\nBye?<end_of_turn>\n" +
    "<start_of_turn>model\n",
  "llama-2-chat": "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n Hi [/INST] Hello! </s>" +
    "<s>[INST] Bye? [/INST]",
  "llama-3-instruct": "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>" +
    "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>" +
    "<|start_header_id|>assistant<|end_header_id|>\n\nHello!<|eot_id|>" +
    "<|start_header_id|>user<|end_header_id|>\n\nBye?<|eot_id|>" +
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
  "mistral-instruct": "<s>Be brief.\n\n[INST] Hi [/INST] Hello!</s>[INST] Bye? [/INST]",
  "qwen2.5-instruct":
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hi <|im_end|>\n" +
    "<|im_start|>assistant\nHello!<|im_end|>\n<|im_start|>user\nBye?<|im_end|>\n<|im_start|>assistant\n",
  "vicuna": "<s>Be brief.\n\nUSER: Hi\nASSISTANT: Hello!</s>\nUSER: Bye?\nASSISTANT:",
  "zephyr": "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\nHello!</s>\n" +
    "<|user|>\nBye?</s>\n<|assistant|>\n",
};

sharedTest(
  "render() gives the text of 8 plain templates",
  "data/chat-templates",
  async (dir, t) => {
    for (const [name, text] of Object.entries(rendered)) {
      await t.step(name, () => {
        assert.equal(createChatTemplate(source(dir, name), tokens).render(conversation), text);
      });
    }
  },
);

/** These templates are laid out for reading: their users remove indents and line feeds, Qwen's excepted. */
function source(dir: string, name: string): string {
  const text = Deno.readTextFileSync(`${dir}/${name}.jinja`);
  return name.startsWith("qwen") ? text : text.replaceAll("    ", "").replaceAll("\n", "");
}

sharedTest("render() raises what the template raises", "data/chat-templates", (dir) => {
  const template = createChatTemplate(source(dir, "zephyr"), tokens);
  assert.throws(() => template.render([{ role: "assistant", content: "Hello!" }]), {
    code: "TemplateRefused",
    message: "Cannot render chat template: " +
      "Conversation roles must alternate user/assistant/user/assistant/...",
  });
});

sharedTest("render() gives Qwen's tools", "data/chat-templates", (dir) => {
  const template = createChatTemplate(source(dir, "qwen2.5-instruct"), tokens);
  const call = { type: "function", function: { name: "f", arguments: '{"a":1}' } };
  const text = template.render([
    { role: "user", content: "Call" },
    { role: "assistant", tool_calls: [call] },
    { role: "tool", content: "7" },
  ], { tools: [{ type: "function", function: { name: "f" } }] });
  assert(text.includes('\n{"type": "function", "function": {"name": "f"}}\n</tools>'));
  assert(text.includes('<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'));
  assert(text.endsWith("<tool_response>\n7\n</tool_response><|im_end|>\n<|im_start|>assistant\n"));
});

sharedTest("render() gives the zoo's prompt", "models/zoo/small", (dir) => {
  const config = JSON.parse(Deno.readTextFileSync(`${dir}/tokenizer_config.json`));
  const template = createChatTemplate(findChatTemplate(config) ?? "", { bosToken: "<bos>" });
  assert.equal(template.render([{ role: "user", content: "LINE" }]), "<bos>LINE=");
  assert.equal(template.render([{ role: "user", content: "LINE=" }]), "<bos>LINE=");
  const parts = [{ type: "text", text: "LINE" }];
  assert.equal(template.render([{ role: "user", content: parts }]), "<bos>LINE=");
});

Deno.test("render() joins text parts and refuses others", () => {
  const template = createChatTemplate("{{ messages[0].content }}");
  const text = (text: string) => ({ type: "text", text });
  assert.equal(template.render([{ role: "user", content: [text("a"), text("b")] }]), "a\nb");
  assert.throws(() => template.render([{ role: "user", content: [{ type: "image_url" }] }]), {
    code: "Unsupported",
  });
});

Deno.test("render() turns the prompt off on request", () => {
  const template = createChatTemplate("{% if add_generation_prompt %}yes{% else %}no{% endif %}");
  assert.equal(template.render([]), "yes");
  assert.equal(template.render([], { addGenerationPrompt: false }), "no");
});

Deno.test("render() keeps the variables that it sets itself", () => {
  const template = createChatTemplate("{{ bos_token }}{{ thinking }}", tokens);
  assert.equal(template.render([], { variables: { bos_token: "no", thinking: "off" } }), "<s>off");
  assert.throws(() => template.render([], { variables: { range: 1 } }), {
    code: "TemplateRefused",
  });
});

Deno.test("createChatTemplate() reads every line ending as a line feed", () => {
  assert.equal(createChatTemplate("a\r\nb{{ '\r\n' }}c").render([]), "a\nb\nc");
});

Deno.test("createChatTemplate() refuses broken and huge templates", () => {
  for (const broken of ["{% if %}", "{{ 1 +", "{% for x in y %}", "{{ 'open }}"]) {
    assert.throws(() => createChatTemplate(broken), { code: "InvalidTemplate" }, broken);
  }
  assert.throws(() => createChatTemplate(" ".repeat(MAX_TEMPLATE_LENGTH + 1)), {
    code: "InvalidTemplate",
  });
});

Deno.test("findChatTemplate() reads every form", () => {
  const named = [{ name: "tool_use", template: "T" }, { name: "default", template: "D" }];
  assert.equal(findChatTemplate({ chat_template: "S" }), "S");
  assert.equal(findChatTemplate({ chat_template: "S" }, "F"), "F");
  assert.equal(findChatTemplate({ chat_template: named }), "D");
  assert.equal(findChatTemplate({ chat_template: named }, undefined, "tool_use"), "T");
  assert.equal(findChatTemplate({}), undefined);
  assert.equal(findChatTemplate(undefined), undefined);
  for (const broken of [7, [], [{ name: "other" }], [null]]) {
    assert.throws(() => findChatTemplate({ chat_template: broken }), { code: "InvalidTemplate" });
  }
});
