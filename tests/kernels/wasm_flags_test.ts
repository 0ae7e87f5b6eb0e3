/** The CPU kernels under the V8 flags of the tasks, optimised from the first call: in processes of their own. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { v8Flags } from "../../kernels/mod.ts";
import { sharedTest } from "../support/shared.ts";

const root = new URL("../../", import.meta.url).pathname;
const optimised = `--v8-flags=${[...v8Flags, "--no-liftoff"].join()}`;

Deno.test("v8Flags are those of the tasks that compute", () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${root}deno.json`));
  for (const name of ["serve", "calibrate", "eval", "bench"]) {
    const [flags] = /--v8-flags=\S+/.exec(tasks[name].command) ?? [];
    equal(flags, `--v8-flags=${v8Flags.join()}`, name);
  }
});

Deno.test("v8Flags keep the contract of the backend", async () => {
  const output = await run([
    ...["test", "--allow-all", "--no-check", optimised, "--filter", "/\\[wasm, relaxed SIMD\\]/"],
    "tests/kernels/wasm_test.ts",
  ]);
  const [, passed, failed] = /(\d+) passed[^|]*\| (\d+) failed/.exec(output) ?? [];
  ok(Number(passed) > 60 && Number(failed) === 0, output.slice(-2000));
});

for (const model of ["stories260K", "stories260K-moe4"]) {
  sharedTest(
    `v8Flags leave 10,000 steps of greedy text of ${model} as they are`,
    `models/${model}`,
    async (folder) => {
      const [plain, flagged] = await Promise.all([
        greedyText(folder),
        greedyText(folder, optimised),
      ]);
      equal(plain.flat().length, 10_000);
      deepEqual(flagged, plain);
    },
  );
}

async function greedyText(folder: string, ...flags: string[]): Promise<number[][]> {
  const script = "tests/kernels/models/greedy_text.ts";
  return JSON.parse(await run(["run", "--allow-all", "--no-check", ...flags, script, folder]));
}

async function run(args: string[]): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), {
    args,
    cwd: root,
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  });
  const { success, stdout, stderr } = await command.output();
  const text = new TextDecoder();
  ok(success, text.decode(stdout) + text.decode(stderr));
  return text.decode(stdout);
}
