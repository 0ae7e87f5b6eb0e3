import assert from "node:assert/strict";
import fc from "fast-check";
import { evaluate } from "../../../kernels/webgpu/expression.ts";
import { preprocess } from "../../../kernels/webgpu/preprocessor.ts";
import type { Defines } from "../../../kernels/webgpu/dispatch.ts";
import { assertRefused } from "../contract/values.ts";

function expand(source: string, defines: Defines = {}, files: Record<string, string> = {}): string {
  const sources = new Map(Object.entries({ "main.wgsl": source, ...files }));
  return preprocess(sources, "main", defines, { enablesSubgroups: false });
}

Deno.test("preprocess() replaces whole words by constants", () => {
  const source = "#define TWICE (2u * N) // not N\nlet NN = N + TWICE; // N";
  assert.equal(expand(source, { N: 3 }), "let NN = 3 + (2u * 3); // 3");
  assert.equal(expand("A B", { A: "B", B: "A_B" }), "A_B A_B");
});

Deno.test("preprocess() keeps the lines whose conditions hold", () => {
  const source = `
#if KIND == 1
one
#elif KIND == 2
  #ifdef LOUD
two!
  #else
two
  #endif
#else
many
#endif
#ifndef LOUD
quiet
#endif`;
  assert.equal(expand(source, { KIND: 1 }), "one\nquiet");
  assert.equal(expand(source, { KIND: 2 }), "two\nquiet");
  assert.equal(expand(source, { KIND: 2, LOUD: true }), "two!");
  assert.equal(expand(source, { KIND: 7, LOUD: false }), "many\nquiet");
});

Deno.test("preprocess() repeats the lines of loops", () => {
  const source = `
#for I 0 N
#for J I 3
#if I != J
a[I][J]
#endif
#endfor
#endfor
I`;
  assert.equal(expand(source, { N: 2 }), "a[0][1]\na[0][2]\na[1][2]\nI");
  assert.equal(expand(source, { N: 0 }), "I");
});

Deno.test("preprocess() includes a file once", () => {
  const files = {
    "a.wgsl": '#include "b.wgsl"\na N',
    "b.wgsl": '#include "a.wgsl"\n#define N 1\nb',
  };
  assert.equal(expand('#include "a.wgsl"\n#include "b.wgsl"\nmain N', {}, files), "b\na 1\nmain 1");
});

Deno.test("preprocess() moves enable lines to the top, as the dialect has them", () => {
  const sources = new Map([["main.wgsl", "fn f() {}\nenable f16;\n  enable subgroups;"]]);
  const dawn = preprocess(sources, "main", {}, { enablesSubgroups: true });
  assert.equal(dawn, "enable f16;\nenable subgroups;\nfn f() {}");
  const naga = preprocess(sources, "main", {}, { enablesSubgroups: false });
  assert.equal(naga, "enable f16;\nfn f() {}");
});

Deno.test("preprocess() says where a source is wrong", async () => {
  const wrong: readonly [source: string, says: string][] = [
    ["ok\n#if 1 +", "main.wgsl:2, unexpected end"],
    ["#if (1", "missing )"],
    ["#if 1 2", "unexpected 2"],
    ["#if 1 $ 2", "unexpected $"],
    ["#if defined()", "without a name"],
    ["#if 1", "#if without #endif"],
    ["#endif", "#endif without #if"],
    ["#else", "#else without #if"],
    ["#for I 0 3", "#for without #endfor"],
    ["#endfor", "unknown directive: #endfor"],
    ["#pragma once", "unknown directive: #pragma once"],
    ['#include "none.wgsl"', "none.wgsl"],
    ["#define A B\n#define B A\nA", "contain each other"],
  ];
  for (const [source, says] of wrong) {
    await assertRefused(() => expand(source), "InvalidArgument", says);
  }
});

interface Expression {
  readonly text: string;
  readonly value: number;
}

const operators: Readonly<Record<string, (a: number, b: number) => number>> = {
  "||": (a, b) => Number(a !== 0 || b !== 0),
  "&&": (a, b) => Number(a !== 0 && b !== 0),
  "==": (a, b) => Number(a === b),
  "!=": (a, b) => Number(a !== b),
  "<": (a, b) => Number(a < b),
  "<=": (a, b) => Number(a <= b),
  ">": (a, b) => Number(a > b),
  ">=": (a, b) => Number(a >= b),
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
};

/** Expressions in which parentheses stand for the tree's shape, so that their value needs no precedence. */
const expressions = fc.letrec<{ expression: Expression }>((tie) => ({
  expression: fc.oneof(
    { depthSize: "small" },
    fc.nat(9).map((value): Expression => ({ text: String(value), value })),
    fc.constantFrom<Expression>(
      { text: "N", value: 5 },
      { text: "UNKNOWN", value: 0 },
      { text: "defined(N)", value: 1 },
      { text: "defined UNKNOWN", value: 0 },
    ),
    tie("expression").map(({ text, value }): Expression => ({
      text: `!(${text})`,
      value: Number(value === 0),
    })),
    fc.tuple(tie("expression"), fc.constantFrom(...Object.keys(operators)), tie("expression")).map(
      ([a, op, b]): Expression => ({
        text: `(${a.text} ${op}(${b.text}))`,
        value: operators[op]!(a.value, b.value),
      }),
    ),
  ),
})).expression;

Deno.test("evaluate() agrees with the tree of an expression", () => {
  fc.assert(fc.property(expressions, ({ text, value }) => {
    assert.equal(evaluate(text, (name) => name === "N" ? "5u" : undefined) + 0, value + 0);
  }));
});

Deno.test("evaluate() knows precedence", () => {
  const known: readonly [string, number][] = [
    ["1 + 2 * 3", 7],
    ["8 - 2 - 3", 3],
    ["7 / 2 % 2", 1],
    ["1 + 1 == 2 && 3 < 2 || 4 >= 4", 1],
    ["!0 + -2", -1],
    ["1 < 2 == 1", 1],
  ];
  for (const [text, value] of known) assert.equal(evaluate(text, () => undefined), value, text);
});
