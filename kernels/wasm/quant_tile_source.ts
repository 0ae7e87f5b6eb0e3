/**
 * Writes the AssemblyScript of the register tiles of quantised weights: for each dtype and number of tokens a
 * loop over the blocks of one panel of 8 rows. Layouts: assembly/quant_weights.ts and quant_pack.ts.
 */
const dtypes = ["Q8_0", "Q4_0", "Q4_K", "Q6_K"] as const;

type DType = (typeof dtypes)[number];

interface Tile {
  readonly dtype: DType;
  readonly tokens: number;
}

/** Most tokens of a tile: with the 8 rows of a panel, 8 accumulators of 4 lanes. */
export const MAX_TILE_TOKENS = 4;

/** Bytes that hold a super-block's own scales, and a block of 32 with its scales, of 8 rows. */
const layouts = {
  Q8_0: { superblock: 0, block: 288, blocks: 1, planes: 2 },
  Q4_0: { superblock: 0, block: 144, blocks: 1, planes: 1 },
  Q4_K: { superblock: 32, block: 144, blocks: 8, planes: 1 },
  Q6_K: { superblock: 16, block: 208, blocks: 8, planes: 1 },
} as const;

/** The source of assembly/quant_tiles.ts, which exists only while compiling. */
export function quantTileSource(): string {
  const tokens = range(MAX_TILE_TOKENS).map((t) => t + 1);
  return [
    `import { Stored } from "../opcodes";`,
    `import { bytes4, dot, halves4, signedBytes4 } from "./quant_vector";`,
    ...dtypes.flatMap((dtype) => tokens.map((count) => tileFunction({ dtype, tokens: count }))),
    `export function runQuantTile(stored: i32, tokens: i32, panel: usize, x: usize, k: i32, sink: usize): void {
      switch (stored * 8 + tokens) {
        ${
      dtypes.flatMap((dtype) =>
        tokens.map((count) =>
          `case Stored.${dtype} * 8 + ${count}: return ${
            name({ dtype, tokens: count })
          }(panel, x, k, sink);`
        )
      ).join("\n")
    }
      }
    }`,
  ].join("\n");
}

function name({ dtype, tokens }: Tile): string {
  return `tile${dtype}x${tokens}`;
}

function tileFunction(tile: Tile): string {
  const { dtype, tokens } = tile;
  const { superblock, block, blocks, planes } = layouts[dtype];
  const body = `
    ${steps[dtype](tile)}
    p += ${block};
    x += ${tokens * (12 + 32 * planes)};`;
  const loop = blocks === 1 ? body : `
    ${superScales(dtype)}
    p += ${superblock};
    for (let end = p + ${blocks * block}; p < end;) {${body}}`;
  return `function ${name(tile)}(p: usize, x: usize, k: i32, sink: usize): void {
    ${each(tokens, (v, t) => `let sum${v}_${t} = f32x4.splat(0);`)}
    for (let i = 0; i < k; i += ${32 * blocks}) {${loop}}
    ${each(tokens, (v, t) => `v128.store(sink, sum${v}_${t}, ${t * 32 + v * 16});`)}
  }`;
}

const steps: Readonly<Record<DType, (tile: Tile) => string>> = {
  Q8_0: stepQ8_0,
  Q4_0: stepQ4_0,
  Q4_K: stepQ4K,
  Q6_K: stepQ6K,
};

/** The negative sum of a row's weights takes the activations' offset back; then the planes in turn. */
function stepQ8_0({ dtype, tokens }: Tile): string {
  const { planes } = layouts[dtype];
  const plane = (index: number) =>
    range(8).map((g) => `
      ${rows((v) => `const w${index}_${g}_${v} = v128.load(p, ${32 + g * 32 + v * 16});`)}
      ${multiply(tokens, `${index}_${g}`, 12 + 32 * index, g, "weights")}`).join("\n");
  return `
    ${rows((v) => `const scale${v} = halves4(p + ${v * 8});`)}
    ${rows((v) => `const start${v} = i32x4.shl(v128.load16x4_s(p + ${16 + v * 8}), 6);`)}
    ${each(tokens, (v, t) => `let a${v}_${t} = start${v};`)}
    ${plane(0)}
    ${planes > 1 ? each(tokens, (v, t) => `a${v}_${t} = i32x4.shl(a${v}_${t}, 7);`) : ""}
    ${planes > 1 ? plane(1) : ""}
    ${addScaled(tokens, (v) => `scale${v}`)}`;
}

function stepQ4_0({ tokens }: Tile): string {
  return `
    ${rows((v) => `const scale${v} = halves4(p + ${v * 8});`)}
    ${starts(tokens, 1)}
    ${nibbles(tokens)}
    ${addScaled(tokens, (v) => `scale${v}`)}`;
}

function stepQ4K({ tokens }: Tile): string {
  return `
    ${rows((v) => `const scale${v} = f32x4.mul(d${v}, bytes4(p + ${v * 4}));`)}
    ${rows((v) => `const low${v} = f32x4.mul(m${v}, bytes4(p + ${8 + v * 4}));`)}
    ${each(tokens, (v, t) => `let a${v}_${t} = i32x4.splat(0);`)}
    ${nibbles(tokens)}
    ${addScaled(tokens, (v) => `scale${v}`)}
    ${
    range(tokens).map((t) => `
      const mass${t} = v128.load32_splat(x, ${(tokens + t) * 4});
      ${rows((v) => `sum${v}_${t} = f32x4.sub(sum${v}_${t}, f32x4.mul(low${v}, mass${t}));`)}`)
      .join("\n")
  }`;
}

/** Low nibbles hold the first 16 elements, which have a scale of their own, high nibbles the others. */
function stepQ6K({ tokens }: Tile): string {
  const part = (high: number) =>
    `{
    ${rows((v) => `const scale${v} = f32x4.mul(d${v}, signedBytes4(p + ${high * 8 + v * 4}));`)}
    ${starts(tokens, 1 + high)}
    ${
      range(4).map((i) => `
      ${rows((v) => `const w${i}_${v} = ${sixBits(i, high, v)};`)}
      ${multiply(tokens, `${i}`, 12, i + 4 * high, "activations")}`).join("\n")
    }
    ${addScaled(tokens, (v) => `scale${v}`)}
  }`;
  return part(0) + part(1);
}

function sixBits(i: number, high: number, v: number): string {
  const low = `v128.load(p, ${16 + i * 32 + v * 16})`;
  const pairs = `v128.load(p, ${144 + (i >> 1) * 32 + v * 16})`;
  const shifted = [
    `i16x8.shl(${pairs}, 4)`,
    `i16x8.shl(${pairs}, 2)`,
    pairs,
    `i16x8.shr_u(${pairs}, 2)`,
  ];
  const nibble = high ? `i16x8.shr_u(${low}, 4)` : low;
  const bits = shifted[(i & 1) + 2 * high];
  return `v128.or(v128.and(${nibble}, i8x16.splat(15)), v128.and(${bits}, i8x16.splat(48)))`;
}

function superScales(dtype: DType): string {
  return rows((v) => `const d${v} = halves4(p + ${v * 8});`) +
    (dtype === "Q4_K" ? rows((v) => `const m${v} = halves4(p + ${16 + v * 8});`) : "");
}

/** The activations' own sums, which take the bias of the weights back. */
function starts(tokens: number, field: number): string {
  return range(tokens).map((t) => `
    let a0_${t} = v128.load32_splat(x, ${(field * tokens + t) * 4}), a1_${t} = a0_${t};`).join("");
}

function nibbles(tokens: number): string {
  return range(4).map((i) => `
    ${rows((v) => `const raw${i}_${v} = v128.load(p, ${16 + i * 32 + v * 16});`)}
    ${rows((v) => `const w${i}_${v} = v128.and(raw${i}_${v}, i8x16.splat(15));`)}
    ${multiply(tokens, `${i}`, 12, i, "activations")}
    ${
    rows((v) => `const w${i + 4}_${v} = v128.and(i16x8.shr_u(raw${i}_${v}, 4), i8x16.splat(15));`)
  }
    ${multiply(tokens, `${i + 4}`, 12, i + 4, "activations")}`).join("\n");
}

/** Four k of each row with four k of each token; `signed` says which side has 8 bits. */
function multiply(
  tokens: number,
  w: string,
  field: number,
  group: number,
  signed: "weights" | "activations",
): string {
  return range(tokens).map((t) => {
    const s = `s${w}_${t}_${group}`;
    return `const ${s} = v128.load32_splat(x, ${field * tokens + (group * tokens + t) * 4});
      ${
      rows((v) =>
        `a${v}_${t} = dot(${
          signed === "weights" ? `w${w}_${v}, ${s}` : `${s}, w${w}_${v}`
        }, a${v}_${t});`
      )
    }`;
  }).join("\n");
}

function addScaled(tokens: number, scale: (v: number) => string): string {
  return range(tokens).map((t) =>
    `{
    const factor = v128.load32_splat(x, ${t * 4});
    ${
      rows((v) =>
        `sum${v}_${t} = f32x4.add(sum${v}_${t}, f32x4.mul(f32x4.mul(${
          scale(v)
        }, factor), f32x4.convert_i32x4_s(a${v}_${t})));`
      )
    }
  }`
  ).join("\n");
}

function rows(line: (v: number) => string): string {
  return line(0) + "\n" + line(1);
}

function each(tokens: number, line: (v: number, t: number) => string): string {
  return range(tokens).map((t) => rows((v) => line(v, t))).join("\n");
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
