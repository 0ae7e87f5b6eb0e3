/**
 * Writes the AssemblyScript of the register tiles of quantised weights: for each dtype and number of tokens a
 * loop over the blocks of one panel. Layouts: assembly/quant_weights.ts and quant_pack.ts.
 */
import { each, octets, pair, range, stride } from "./code.ts";

const dtypes = ["Q8_0", "Q4_0", "Q4_K", "Q6_K"] as const;

interface Tile {
  readonly dtype: (typeof dtypes)[number];
  readonly tokens: number;
}

const MOST_TOKENS = 4;

/** Bytes of a panel that hold a super-block's own scales, and a block of 32 with its scales. */
const layouts = {
  Q8_0: { superblock: 0, block: 1088, blocks: 1 },
  Q4_0: { superblock: 0, block: 576, blocks: 1 },
  Q4_K: { superblock: 128, block: 576, blocks: 8 },
  Q6_K: { superblock: 64, block: 832, blocks: 8 },
} as const;

/** Words of a token for 32 k: its scale, then pairs of k, then sums of 16 k. */
const X_WORDS = 19, X_PAIRS = 1, X_SUMS = 17;

/** Bytes of a step of a panel: two k of both strips. */
const STEP = 64;

/** The functions, and `runQuantTile`, which chooses among them. */
export function quantTiles(): string {
  const tiles = dtypes.flatMap((dtype) =>
    range(MOST_TOKENS).map((t): Tile => ({ dtype, tokens: t + 1 }))
  );
  const cases = tiles.map((tile) =>
    `case Stored.${tile.dtype} * 8 + ${tile.tokens}: return ${name(tile)}(panel, unit, x, k, sink);`
  );
  return `${tiles.map(tileFunction).join("\n")}
  export function runQuantTile(stored: i32, tokens: i32, panel: usize, unit: usize, x: usize, k: i32, sink: usize): void {
    switch (stored * 8 + tokens) { ${cases.join("\n")} }
  }`;
}

function name({ dtype, tokens }: Tile): string {
  return `tile${dtype}x${tokens}`;
}

/** Each 8 rows and each token have a pointer of their own, so that accesses of a step share constant offsets. */
function tileFunction(tile: Tile): string {
  const { dtype, tokens } = tile;
  const { superblock, block, blocks } = layouts[dtype];
  const advance = (bytes: number) => each(octets(tokens), (o) => `p${o} += ${bytes};`);
  const body = `
    ${steps[dtype](tokens)}
    ${advance(block)}
    ${each(tokens, (t) => `x${t} += ${X_WORDS * stride(tokens)};`)}`;
  const loop = blocks === 1 ? body : `
    ${superScales[dtype](tokens)}
    ${advance(superblock)}
    for (let end = p0 + ${blocks * block}; p0 < end;) {${body}}`;
  return `function ${name(tile)}(p0: usize, unit: usize, x0: usize, k: i32, sink: usize): void {
    ${range(octets(tokens)).slice(1).map((o) => `let p${o} = p0 + ${16 * o};`).join("\n")}
    ${range(tokens).slice(1).map((t) => `let x${t} = x0 + ${4 * t};`).join("\n")}
    const mask = v128.load32_splat(HALF_MASK), one = v128.load32_splat(unit);
    ${dtype === "Q8_0" ? "" : "const low = v128.load32_splat(NIBBLE_MASK);"}
    ${dtype === "Q6_K" ? "const upper = v128.load32_splat(PAIR_MASK);" : ""}
    ${lanes(tokens, (o, t, v) => `let sum${o}_${t}_${v} = f32x4.splat(0);`)}
    for (let i = 0; i < k; i += ${32 * blocks}) {${loop}}
    ${
    lanes(tokens, (o, t, v) =>
      `v128.store(sink, sum${o}_${t}_${v}, ${(t * octets(tokens) + o) * 32 + v * 16});`)
  }
  }`;
}

const steps: Readonly<Record<Tile["dtype"], (tokens: number) => string>> = {
  Q8_0: stepQ8_0,
  Q4_0: stepQ4_0,
  Q4_K: stepQ4K,
  Q6_K: stepQ6K,
};

const superScales: Readonly<Record<Tile["dtype"], (tokens: number) => string>> = {
  Q8_0: () => "",
  Q4_0: () => "",
  Q4_K: (tokens) =>
    rows(
      tokens,
      (o, v) => `const d${o}_${v} = ${halves(o, v * 8)}, m${o}_${v} = ${halves(o, STEP + v * 8)};`,
    ),
  Q6_K: (tokens) => rows(tokens, (o, v) => `const d${o}_${v} = ${halves(o, v * 8)};`),
};

function stepQ8_0(tokens: number): string {
  return `
    ${
    each(16, (g) => `
      ${
      rows(
        tokens,
        (o, v) => `const w${g}_${o}_${v} = v128.load_ext<i8>(p${o}, ${STEP * (1 + g) + v * 8});`,
      )
    }
      ${multiply(tokens, g, `w${g}`, g === 0)}`)
  }
    ${rows(tokens, (o, v) => `const scale${o}_${v} = ${halves(o, v * 8)};`)}
    ${addScaled(tokens)}`;
}

/** Weights are 8 too large: the activations' sums take that back. */
function stepQ4_0(tokens: number): string {
  return `
    ${nibbles(tokens)}
    ${
    each(tokens, (t) =>
      `const mass${t} = i32x4.shl(i32x4.add(${sum(tokens, t, 0)}, ${sum(tokens, t, 1)}), 3);`)
  }
    ${takeBack(tokens)}
    ${rows(tokens, (o, v) => `const scale${o}_${v} = ${halves(o, v * 8)};`)}
    ${addScaled(tokens)}`;
}

function stepQ4K(tokens: number): string {
  return `
    ${nibbles(tokens)}
    ${byteScales(tokens, "u", 0, "scale", "d")}
    ${byteScales(tokens, "u", 16, "least", "m")}
    ${addScaled(tokens)}
    ${
    each(tokens, (t) =>
      `const mass${t} = f32x4.mul(factor${t}, f32x4.convert_i32x4_s(i32x4.add(${
        sum(tokens, t, 0)
      }, ${sum(tokens, t, 1)})));`)
  }
    ${
    lanes(tokens, (o, t, v) =>
      `sum${o}_${t}_${v} = f32x4.sub(sum${o}_${t}_${v}, f32x4.mul(least${o}_${v}, mass${t}));`)
  }`;
}

/** Low nibbles hold the first 16 elements, which have a scale of their own, high nibbles the others. */
function stepQ6K(tokens: number): string {
  const part = (high: number) =>
    `{
    ${
      each(8, (g) => `
      ${rows(tokens, (o, v) => `const w${g}_${o}_${v} = ${sixBits(g, high, o, v)};`)}
      ${multiply(tokens, g + 8 * high, `w${g}`, g === 0)}`)
    }
    ${each(tokens, (t) => `const mass${t} = i32x4.shl(${sum(tokens, t, high)}, 5);`)}
    ${takeBack(tokens)}
    ${byteScales(tokens, "s", high * 16, "scale", "d")}
    ${addScaled(tokens)}
  }`;
  return part(0) + part(1);
}

/** Two bits of each of four groups share a byte: those of low nibbles of an even group come first. */
function sixBits(g: number, high: number, o: number, v: number): string {
  const raw = `v128.load_ext<u8>(p${o}, ${STEP * (1 + g) + v * 8})`;
  const bits = `v128.load_ext<u8>(p${o}, ${STEP * (9 + (g >> 1)) + v * 8})`;
  const shifted = [
    `i16x8.shl(${bits}, 4)`,
    `i16x8.shl(${bits}, 2)`,
    bits,
    `i16x8.shr_u(${bits}, 2)`,
  ];
  const nibble = high ? `i16x8.shr_u(${raw}, 4)` : `v128.and(${raw}, low)`;
  return `v128.or(${nibble}, v128.and(${shifted[(g & 1) * 2 + high]}, upper))`;
}

/** Low nibbles are the first 16 elements of each row, high nibbles the others. */
function nibbles(tokens: number): string {
  return each(8, (g) => `
    ${
    rows(tokens, (o, v) =>
      `const raw${g}_${o}_${v} = v128.load_ext<u8>(p${o}, ${STEP * (1 + g) + v * 8});`)
  }
    ${rows(tokens, (o, v) => `const w${g}_${o}_${v} = v128.and(raw${g}_${o}_${v}, low);`)}
    ${multiply(tokens, g, `w${g}`, g === 0)}
    ${rows(tokens, (o, v) => `const w${g + 8}_${o}_${v} = i16x8.shr_u(raw${g}_${o}_${v}, 4);`)}
    ${multiply(tokens, g + 8, `w${g + 8}`, false)}`);
}

/** Two k of each row with two k of each token; the first product of a block starts its sum. */
function multiply(tokens: number, group: number, w: string, starts: boolean): string {
  const dot = (o: number, v: number, t: number) =>
    `i32x4.dot_i16x8_s(${w}_${o}_${v}, s${group}_${t})`;
  return each(
    tokens,
    (t) =>
      `const s${group}_${t} = v128.load32_splat(x${t}, ${(X_PAIRS + group) * stride(tokens)});
    ${
        rows(tokens, (o, v) =>
          starts
            ? `let a${o}_${t}_${v} = ${dot(o, v, t)};`
            : `a${o}_${t}_${v} = i32x4.add(a${o}_${t}_${v}, ${dot(o, v, t)});`)
      }`,
  );
}

function takeBack(tokens: number): string {
  return lanes(tokens, (o, t, v) => `a${o}_${t}_${v} = i32x4.sub(a${o}_${t}_${v}, mass${t});`);
}

function addScaled(tokens: number): string {
  return each(tokens, (t) => `const factor${t} = v128.load32_splat(x${t});`) +
    lanes(
      tokens,
      (o, t, v) =>
        `sum${o}_${t}_${v} = madd(f32x4.mul(scale${o}_${v}, factor${t}), f32x4.convert_i32x4_s(a${o}_${t}_${v}), sum${o}_${t}_${v});`,
    );
}

/** The integer sum of 16 activations of a token. */
function sum(tokens: number, t: number, part: number): string {
  return `v128.load32_splat(x${t}, ${(X_SUMS + part) * stride(tokens)})`;
}

/** f16 scales as float32, see float_tiles.ts; `one` is what 1 is worth. */
function halves(o: number, offset: number): string {
  return `f32x4.mul(v128.and(i32x4.shl(v128.load_ext<i16>(p${o}, ${offset}), 13), mask), one)`;
}

/** Scales of one byte, of 16 rows a strip, times the super-block's. */
function byteScales(
  tokens: number,
  sign: "s" | "u",
  at: number,
  name: string,
  factor: string,
): string {
  return each(
    octets(tokens),
    (o) =>
      `const bytes_${name}${o} = v128.load_ext<${sign === "s" ? "i8" : "u8"}>(p0, ${
        at + (o >> 1) * 32 + (o & 1) * 8
      });
    ${
        pair((v) =>
          `const ${name}${o}_${v} = f32x4.mul(${factor}${o}_${v}, f32x4.convert_i32x4_s(i32x4.extend_${
            v ? "high" : "low"
          }_i16x8_${sign}(bytes_${name}${o})));`
        )
      }`,
  );
}

function rows(tokens: number, line: (o: number, v: number) => string): string {
  return each(octets(tokens), (o) => pair((v) => line(o, v)));
}

function lanes(tokens: number, line: (o: number, t: number, v: number) => string): string {
  return each(tokens, (t) => rows(tokens, (o, v) => line(o, t, v)));
}
