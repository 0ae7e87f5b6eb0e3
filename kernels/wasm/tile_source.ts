/**
 * Writes the AssemblyScript of the register tiles: for each dtype, each number of tokens and of panels a
 * straight loop over k with its accumulators in registers, unrolled.
 */
interface Tile {
  readonly dtype: "F32" | "F16" | "BF16";
  readonly tokens: number;
  /** Panels side by side: few tokens need several, to keep both multipliers and the memory busy. */
  readonly panels: number;
}

const UNROLL = 4;
const shapes = [[1, 4], [1, 1], [2, 2], [2, 1], [3, 2], [3, 1], [4, 1], [5, 1], [6, 1]] as const;
const dtypes = ["F32", "F16", "BF16"] as const;

/** The source of assembly/tiles.ts, which exists only while compiling. */
export function tileSource(): string {
  const tiles = dtypes.flatMap((dtype) =>
    shapes.map(([tokens, panels]): Tile => ({ dtype, tokens, panels }))
  );
  return [
    `import { Stored } from "../opcodes";`,
    `import { madd } from "./vector";`,
    ...tiles.map(tileFunction),
    ...dtypes.map(dispatchFunction),
    widenFunction(),
    `export function runTile(stored: i32, shape: i32, panel: usize, bytes: usize, x: usize, k: i32, sink: usize): void {
      if (stored == Stored.F16) runF16(shape, panel, bytes, x, k, sink);
      else if (stored == Stored.F32) runF32(shape, panel, bytes, x, k, sink);
      else runBF16(shape, panel, bytes, x, k, sink);
    }`,
  ].join("\n");
}

function dispatchFunction(dtype: Tile["dtype"]): string {
  const cases = shapes.map(([tokens, panels]) =>
    `case ${tokens * 8 + panels}: return ${
      name({ dtype, tokens, panels })
    }(panel, bytes, x, k, sink);`
  );
  return `function run${dtype}(shape: i32, panel: usize, bytes: usize, x: usize, k: i32, sink: usize): void {
    switch (shape) { ${cases.join("\n")} }
  }`;
}

/** Writes an f16 panel as the float32 panel that the tiles of float32 multiply alike. */
function widenFunction(): string {
  return `export function widenPanel(p0: usize, k: i32, to: usize): void {
    const end = p0 + <usize>k * 16;
    while (p0 < end) {
      ${widen("F16", 0, 0).join("\n")}
      v128.store(to, low0_0);
      v128.store(to, high0_0, 16);
      p0 += 16;
      to += 32;
    }
  }`;
}

function name({ dtype, tokens, panels }: Tile): string {
  return `tile${dtype}x${tokens}x${panels}`;
}

function tileFunction(tile: Tile): string {
  const { dtype, tokens, panels } = tile;
  const column = dtype === "F32" ? 32 : 16;
  const bases = range(1, panels).map((p) => `let p${p} = p${p - 1} + bytes;`);
  const accumulators = each(
    panels,
    tokens,
    (p, t) => `let lo${p}_${t} = f32x4.splat(0); let hi${p}_${t} = f32x4.splat(0);`,
  );
  const loop = (unroll: number, condition: string) =>
    `while (${condition}) {
      ${unroll > 1 && shuffles(tile) ? loadActivations(tile) : ""}
      ${range(0, unroll).map((u) => step(tile, u, unroll)).join("\n")}
      ${range(0, panels).map((p) => `p${p} += ${column * unroll};`).join(" ")}
      x += ${4 * tokens * unroll};
    }`;
  const stores = each(
    panels,
    tokens,
    (p, t) =>
      `v128.store(sink, lo${p}_${t}, ${(p * tokens + t) * 32});
     v128.store(sink, hi${p}_${t}, ${(p * tokens + t) * 32 + 16});`,
  );
  return `function ${name(tile)}(p0: usize, bytes: usize, x: usize, k: i32, sink: usize): void {
    ${bases.join("\n")}
    ${accumulators}
    const end = p0 + <usize>k * ${column};
    const whole = p0 + <usize>(k & ~${UNROLL - 1}) * ${column};
    ${loop(UNROLL, "p0 < whole")}
    ${loop(1, "p0 < end")}
    ${stores}
  }`;
}

/** One k: widens each panel's 8 weights, multiplies them with each token's activation. */
function step(tile: Tile, unroll: number, steps: number): string {
  const { dtype, tokens, panels } = tile;
  const lines: string[] = [];
  for (const p of range(0, panels)) {
    lines.push(...widen(dtype, p, unroll));
    for (const t of range(0, tokens)) {
      const at = (unroll * tokens + t) * 4;
      if (p === 0 || tokens > 1) {
        lines.push(`const s${unroll}_${p}_${t} = ${activation(tile, at, steps > 1)};`);
      }
      const s = tokens > 1 ? `s${unroll}_${p}_${t}` : `s${unroll}_0_0`;
      lines.push(`lo${p}_${t} = madd(${s}, low${unroll}_${p}, lo${p}_${t});`);
      lines.push(`hi${p}_${t} = madd(${s}, high${unroll}_${p}, hi${p}_${t});`);
    }
  }
  return lines.join("\n");
}

/**
 * Whether four activations are loaded at once and spread by shuffles. Engines without a trap handler check
 * the bounds of each access, which costs a full tile more than the shuffles do.
 */
function shuffles({ dtype, tokens }: Tile): boolean {
  return tokens === 6 && dtype !== "F16";
}

function loadActivations({ tokens }: Tile): string {
  return range(0, tokens).map((i) => `const x${i} = v128.load(x, ${16 * i});`).join("\n");
}

function activation(tile: Tile, at: number, loaded: boolean): string {
  if (!loaded || !shuffles(tile)) return `v128.load32_splat(x, ${at})`;
  const x = `x${at >> 4}`, lane = (at >> 2) & 3;
  return `v128.shuffle<f32>(${x}, ${x}, ${lane}, ${lane}, ${lane}, ${lane})`;
}

/**
 * Rows 0 to 3 of a 16-bit column are the low halves of its 32-bit lanes, rows 4 to 7 the high halves. An f16
 * is shifted, sign-extended, to where float32 keeps its fields; the mask clears the copies of the sign.
 */
function widen(dtype: Tile["dtype"], p: number, u: number): string[] {
  const [low, high] = [`const low${u}_${p}`, `const high${u}_${p}`];
  if (dtype === "F32") {
    return [
      `${low} = v128.load(p${p}, ${u * 32});`,
      `${high} = v128.load(p${p}, ${u * 32 + 16});`,
    ];
  }
  const raw = `const raw${u}_${p} = v128.load(p${p}, ${u * 16});`;
  if (dtype === "BF16") {
    return [
      raw,
      `${low} = i32x4.shl(raw${u}_${p}, 16);`,
      `${high} = v128.and(raw${u}_${p}, i32x4.splat(0xffff0000));`,
    ];
  }
  return [
    raw,
    `${low} = v128.and(i32x4.shr_s(i32x4.shl(raw${u}_${p}, 16), 3), i32x4.splat(0x8fffffff));`,
    `${high} = v128.and(i32x4.shr_s(raw${u}_${p}, 3), i32x4.splat(0x8fffe000));`,
  ];
}

function each(panels: number, tokens: number, line: (p: number, t: number) => string): string {
  return range(0, panels).flatMap((p) => range(0, tokens).map((t) => line(p, t))).join("\n");
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
}
