import { deepEqual, equal, rejects } from "node:assert/strict";
import { JsonLineChild } from "../../bench/json_lines.ts";

const door = new URL("../../bench/json_lines.ts", import.meta.url).href;
const script = `
  import { serveJsonLines } from ${JSON.stringify(door)};
  console.log("a line of a library");
  await serveJsonLines({
    double: ({ n }) => Promise.resolve(2 * n),
    nothing: () => {},
    fail: () => { throw new Error("no paper"); },
    end: () => Deno.exit(1),
  });
`;

/** Runs `body` with a child that is ended afterwards. */
async function withChild(body: (child: JsonLineChild) => Promise<void>): Promise<void> {
  const path = Deno.makeTempFileSync({ suffix: ".mjs" });
  Deno.writeTextFileSync(path, script);
  const child = new JsonLineChild(Deno.execPath(), ["run", "-A", path]);
  try {
    await body(child);
  } finally {
    await child.close();
    Deno.removeSync(path);
  }
}

Deno.test("JsonLineChild answers calls and passes on the child's errors", () =>
  withChild(async (child) => {
    equal(await child.call("double", { n: 21 }), 42);
    equal(await child.call("nothing"), null);
    await rejects(() => child.call("fail"), /Cannot fail: no paper/);
    const answers = [];
    for (const n of [1, 2, 3]) answers.push(await child.call("double", { n }));
    deepEqual(answers, [2, 4, 6]);
  }));

Deno.test("JsonLineChild says that the child has ended", () =>
  withChild(async (child) => {
    await rejects(() => child.call("end"), /ended/);
    await rejects(() => child.call("double", { n: 1 }), /ended/);
  }));
