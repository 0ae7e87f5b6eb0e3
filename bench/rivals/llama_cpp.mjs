/**
 * llama.cpp through node-llama-cpp, driven by JSON lines: `{id, method, params}` on standard input,
 * `{id, result}` or `{id, error}` on standard output. Methods: load, nextToken, decode,
 * decodeNaturally, prefill, peakMemory. It ends when its input ends.
 */
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
// @ts-ignore: its packages are installed for Node, out of reach of the type checker
import { getLlama } from "node-llama-cpp";

/** With less room than this, part of a long prompt is shifted out and evaluated again. */
const spare = 64;
/** Room for the tokens of all rounds of `decodeNaturally`. */
const naturalTokens = 896;
const greedy = { token: true, options: { temperature: 0 } };
const state = { model: null, threads: 0, contexts: new Map(), iterators: undefined };

async function load({ path, threads }) {
  const llama = await getLlama({
    gpu: false,
    build: "never",
    logLevel: "error",
    maxThreads: threads,
    logger: (_, message) => process.stderr.write(message),
  });
  state.threads = threads;
  state.model = await llama.loadModel({ modelPath: path });
  return { system: llama.systemInfo };
}

/** The context of a name, made anew when it is too small. Flash attention is never slower here. */
async function contextFor(name, sequences, contextSize) {
  const known = state.contexts.get(name);
  if (known !== undefined && known.context.contextSize >= contextSize) {
    return known;
  }
  await known?.context.dispose();
  const context = await state.model.createContext({
    contextSize,
    sequences,
    threads: state.threads,
    batchSize: 512,
    flashAttention: true,
  });
  const made = {
    context,
    sequences: Array.from({ length: sequences }, () => context.getSequence()),
    prompts: "",
  };
  state.contexts.set(name, made);
  return made;
}

async function evaluate(sequence, ids, generateNext) {
  const last = [ids.at(-1), { generateNext }];
  const results = await sequence.controlledEvaluate([
    ...ids.slice(0, -1),
    last,
  ]);
  return results[ids.length - 1].next;
}

async function emptySequence(length) {
  const { sequences: [sequence] } = await contextFor(
    "single",
    1,
    Math.max(length, 512) + spare,
  );
  await sequence.clearHistory();
  return sequence;
}

async function nextToken({ prompt }) {
  const sequence = await emptySequence(prompt.length);
  const top = { ...greedy, logits: { filter: { includeTop: 2 } } };
  const next = await evaluate(sequence, prompt, top);
  const [best, second] = [...next.logits.values()].sort((a, b) => b - a);
  return { token: next.token, margin: best - second };
}

async function prefill({ prompt }) {
  const sequence = await emptySequence(prompt.length);
  const start = performance.now();
  await evaluate(sequence, prompt, greedy);
  return { tokensPerSecond: perSecond(prompt.length, start) };
}

/**
 * All sequences step together, so that llama.cpp always gets full batches: faster than `evaluate`
 * iterators side by side, whose batches fall apart.
 */
async function decode({ prompts, tokens }) {
  const length = prompts[0].length;
  const made = await contextFor(
    `decode ${prompts.length}`,
    prompts.length,
    length + tokens + spare,
  );
  await fillPrompts(made, prompts);
  const start = performance.now();
  let next = prompts.map((prompt) => prompt.at(-1));
  for (let step = 0; step < tokens; step++) {
    const results = made.sequences.map((sequence, i) => evaluate(sequence, [next[i]], greedy));
    next = (await Promise.all(results)).map(({ token }) => token);
  }
  return { tokensPerSecond: perSecond(prompts.length * tokens, start) };
}

/**
 * One `evaluate()` iterator a sequence, all pulled side by side. Iterators stay open from call to call:
 * the first one takes the prompts in and the first token out, which is not timed.
 */
async function decodeNaturally({ prompts, tokens }) {
  state.iterators ??= await openIterators(prompts);
  const start = performance.now();
  await Promise.all(state.iterators.map((iterator) => pull(iterator, tokens)));
  return { tokensPerSecond: perSecond(prompts.length * tokens, start) };
}

async function openIterators(prompts) {
  const contextSize = prompts[0].length + naturalTokens;
  const { sequences } = await contextFor("natural", prompts.length, contextSize);
  const iterators = prompts.map((prompt, i) => sequences[i].evaluate(prompt, { temperature: 0 }));
  await Promise.all(iterators.map((iterator) => pull(iterator, 1)));
  return iterators;
}

async function pull(iterator, count) {
  for (let i = 0; i < count; i++) {
    if ((await iterator.next()).done) throw new Error("the sequence has ended");
  }
}

/** Brings every sequence to its prompt without the last token, reusing what is cached of it. */
async function fillPrompts(made, prompts) {
  const key = JSON.stringify(prompts);
  const cached = made.prompts === key;
  made.prompts = key;
  await Promise.all(made.sequences.map(async (sequence, i) => {
    const filled = prompts[i].length - 1;
    if (!cached) {
      await sequence.clearHistory();
      await sequence.evaluateWithoutGeneratingNewTokens(
        prompts[i].slice(0, filled),
      );
    } else if (sequence.nextTokenIndex > filled) {
      const range = { start: filled, end: sequence.nextTokenIndex };
      await sequence.eraseContextTokenRanges([range]);
    }
  }));
}

async function peakMemory() {
  const status = await readFile("/proc/self/status", "utf8").catch(() => "");
  const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(status)?.[1];
  return { bytes: kilobytes === undefined ? null : Number(kilobytes) * 1024 };
}

function perSecond(tokens, start) {
  return tokens * 1000 / (performance.now() - start);
}

const methods = { load, nextToken, decode, decodeNaturally, prefill, peakMemory };

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  const reply = await methods[method](params).then(
    (result) => ({ id, result }),
    (error) => ({ id, error: String(error?.message ?? error) }),
  );
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
process.exit(0);
