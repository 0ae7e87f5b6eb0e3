import assert from "node:assert/strict";
import { importsOf, readImports } from "./imports.ts";
import { checkedFolders, violations } from "./rules.ts";

const root = new URL("../..", import.meta.url).pathname;

Deno.test("layering of the project has no violations", () => {
  const imports = readImports(root, checkedFolders);
  assert(imports.length > 100, "imports were found");
  assert.deepEqual(violations(imports), []);
});

Deno.test("violations() names imports that point up, sideways, past a door or in a circle", () => {
  const edge = (from: string, to: string, typeOnly = false) => ({ from, to, typeOnly });
  const found = violations([
    edge("kernels/a.ts", "actors/mod.ts"),
    edge("kernels/a.ts", "runtime/mod.ts"),
    edge("actors/edge/a.ts", "actors/router/inner.ts"),
    edge("actors/x.ts", "actors/y.ts"),
    edge("actors/y.ts", "actors/x.ts"),
    edge("actors/edge/a.ts", "actors/router/mod.ts"),
    edge("actors/edge/a.ts", "actors/protocol.ts"),
    edge("actors/p.ts", "actors/q.ts", true),
    edge("actors/q.ts", "actors/p.ts"),
  ]);
  assert.deepEqual(found, [
    "kernels/a.ts imports up: actors/mod.ts",
    "kernels/a.ts imports sideways: runtime/mod.ts",
    "actors/edge/a.ts imports past a door: actors/router/inner.ts",
    "import circle: actors/x.ts -> actors/y.ts -> actors/x.ts",
  ]);
});

Deno.test("violations() counts one door an example", () => {
  const edge = (from: string, to: string) => ({ from, to, typeOnly: false });
  const found = violations([
    edge("bench/zoo/mod.ts", "examples/zoo/mod.ts"),
    edge("bench/zoo/mod.ts", "examples/mod.ts"),
    edge("bench/zoo/mod.ts", "examples/zoo/eval.ts"),
    edge("bench/zoo/mod.ts", "examples/zoo/tasks/mod.ts"),
    edge("examples/zoo/eval.ts", "examples/zoo/tasks/mod.ts"),
    edge("examples/chat/a.ts", "examples/zoo/mod.ts"),
    edge("examples/chat/a.ts", "examples/zoo/eval.ts"),
  ]);
  assert.deepEqual(found, [
    "bench/zoo/mod.ts imports past a door: examples/mod.ts",
    "bench/zoo/mod.ts imports past a door: examples/zoo/eval.ts",
    "bench/zoo/mod.ts imports past a door: examples/zoo/tasks/mod.ts",
    "examples/chat/a.ts imports past a door: examples/zoo/eval.ts",
  ]);
});

Deno.test("importsOf() sees multi-line, type-only, re-exported and dynamic imports", () => {
  const source = `import {
  type A,
  type B,
} from "./types.ts";
import type { C } from "../c.ts";
export { d, type D } from "./d.ts";
import "./effect.ts";
const e = await import("./e.ts");
import { z } from "zod";`;
  assert.deepEqual(importsOf("x/y/f.ts", source).map(({ to, typeOnly }) => [to, typeOnly]), [
    ["x/y/types.ts", true],
    ["x/c.ts", true],
    ["x/y/d.ts", false],
    ["x/y/effect.ts", false],
    ["x/y/e.ts", false],
  ]);
});
