/**
 * Writes the AssemblyScript of the register tiles of float weights: a straight loop over k with its accumulators in
 * registers, unrolled. Layouts: assembly/float_weights.ts, pack.ts and cache.ts.
 */
import { each, octets, pair, range, stride } from "./code.ts";

type DType = "F32" | "F16" | "BF16";

/** A tile: how many tokens times how many octets of rows, and how both lie in memory. */
interface Tile {
  readonly name: string;
  readonly dtype: DType;
  readonly tokens: number;
  readonly octets: number;
  /** Bytes from one k of the rows to the next. */
  readonly column: number;
  /** Bytes from one k of a token to the next. */
  readonly stride: number;
  /** Parameters beside those of all tiles; where token `t` begins, and where its results go, from `t - 1`. */
  readonly parameters: string;
  readonly tokenOffset: string;
  readonly outOffset: string;
  /** Whether results are added to what lies there. */
  readonly adds: boolean;
}

const MOST_TOKENS = 4;
const UNROLL = 4;
/** Bytes of 8 rows at one k. */
const octetBytes = { F32: 32, F16: 16, BF16: 16 } as const;

/** The functions of products, and `runFloatTile`, which chooses among them. */
export function floatTiles(): string {
  const tiles = (["F32", "F16", "BF16"] as const).flatMap((dtype) =>
    range(MOST_TOKENS).map((t) => panelTile(dtype, t + 1))
  );
  const cases = tiles.map(({ name, dtype, tokens }) =>
    `case Stored.${dtype} * 8 + ${tokens}: return ${name}(panel, x, k, out);`
  );
  return `${tiles.map(tileFunction).join("\n")}
  ${widenFunction()}
  export function runFloatTile(stored: i32, tokens: i32, panel: usize, x: usize, k: i32, out: usize): void {
    switch (stored * 8 + tokens) { ${cases.join("\n")} }
  }`;
}

/** The functions of attention, whose tokens are heads, and `runCacheTile`, which chooses among them. */
export function cacheTiles(): string {
  const tiles = (["F32", "F16"] as const).flatMap((dtype) =>
    [1, 2].flatMap((octets) => range(MOST_TOKENS).map((t) => cacheTile(dtype, octets, t + 1)))
  );
  const cases = tiles.map(({ name, dtype, tokens, octets }) =>
    `case Stored.${dtype} * 16 + ${
      octets * 8 + tokens - 8
    }: return ${name}(panel, x, k, out, xRow, outRow);`
  );
  return `${tiles.map(tileFunction).join("\n")}
  export function runCacheTile(stored: i32, octets: i32, heads: i32, panel: usize, x: usize, xRow: usize, k: i32, out: usize, outRow: usize): void {
    switch (stored * 16 + octets * 8 + heads - 8) { ${cases.join("\n")} }
  }`;
}

function panelTile(dtype: DType, tokens: number): Tile {
  return {
    name: `tile${dtype}x${tokens}`,
    ...{ dtype, tokens, octets: octets(tokens), column: 4 * octetBytes[dtype] },
    ...{ stride: stride(tokens), parameters: "", tokenOffset: "4" },
    ...{ outOffset: `${octets(tokens) * 32}`, adds: false },
  };
}

function cacheTile(dtype: DType, octets: number, tokens: number): Tile {
  return {
    name: `cache${dtype}x${octets}x${tokens}`,
    ...{ dtype, tokens, octets, column: octets * octetBytes[dtype], stride: 4 },
    ...{ parameters: ", xRow: usize, outRow: usize", tokenOffset: "xRow" },
    ...{ outOffset: "outRow", adds: true },
  };
}

/**
 * Each octet of rows and each token have a pointer of their own, so that accesses at one k share a constant offset,
 * which takes an instruction of its own.
 */
function tileFunction(tile: Tile): string {
  const { dtype, tokens, octets, column } = tile;
  const lanes = (line: (o: number, t: number, v: number) => string) =>
    each(tokens, (t) => each(octets, (o) => pair((v) => line(o, t, v))));
  const loop = (unroll: number, condition: string) =>
    `while (${condition}) {
      ${each(unroll, (u) => step(tile, u))}
      ${each(octets, (o) => `p${o} += ${column * unroll};`)}
      ${each(tokens, (t) => `x${t} += ${tile.stride * unroll};`)}
    }`;
  const first = (o: number, t: number, v: number) =>
    tile.adds ? `v128.load(out${t}, ${o * 32 + v * 16})` : "f32x4.splat(0)";
  return `function ${tile.name}(p0: usize, x0: usize, k: i32, out0: usize${tile.parameters}): void {
    ${pointers("p", octets, `${octetBytes[dtype]}`)}
    ${pointers("x", tokens, tile.tokenOffset)}
    ${pointers("out", tokens, tile.outOffset)}
    ${dtype === "F16" ? "const mask = v128.load32_splat(HALF_MASK);" : ""}
    ${lanes((o, t, v) => `let sum${o}_${t}_${v} = ${first(o, t, v)};`)}
    const end = p0 + <usize>k * ${column};
    const whole = p0 + <usize>(k & ~${UNROLL - 1}) * ${column};
    ${loop(UNROLL, "p0 < whole")}
    ${loop(1, "p0 < end")}
    ${lanes((o, t, v) => `v128.store(out${t}, sum${o}_${t}_${v}, ${o * 32 + v * 16});`)}
  }`;
}

function pointers(name: string, count: number, offset: string): string {
  return range(count - 1).map((i) => `let ${name}${i + 1} = ${name}${i} + ${offset};`).join("\n");
}

/** One k: widens the rows' weights, multiplies them with each token's activation. */
function step({ dtype, tokens, octets, column, stride }: Tile, u: number): string {
  return each(
    octets,
    (o) => pair((v) => `const w${u}_${o}_${v} = ${widened(dtype, `p${o}`, u * column, v)};`),
  ) + each(tokens, (t) =>
    `const s${u}_${t} = v128.load32_splat(x${t}, ${u * stride});
    ${
      each(octets, (o) =>
        pair((v) => `sum${o}_${t}_${v} = madd(s${u}_${t}, w${u}_${o}_${v}, sum${o}_${t}_${v});`))
    }`);
}

/**
 * Half `v` of 8 rows as float32. An f16 is shifted, sign-extended, to where float32 keeps its fields; the mask
 * clears the copies of the sign. That is the value times 2^-112.
 */
function widened(dtype: DType, pointer: string, offset: number, v: number): string {
  const at = `${pointer}, ${offset + v * octetBytes[dtype] / 2}`;
  if (dtype === "F32") return `v128.load(${at})`;
  if (dtype === "BF16") return `i32x4.shl(v128.load_ext<u16>(${at}), 16)`;
  return `v128.and(i32x4.shl(v128.load_ext<i16>(${at}), 13), mask)`;
}

/** Writes an f16 panel as the float32 panel that the tiles of float32 multiply alike. */
function widenFunction(): string {
  return `export function widenPanel(from: usize, k: i32, to: usize): void {
    const mask = v128.load32_splat(HALF_MASK);
    for (const end = from + <usize>k * 64; from < end; from += 64) {
      ${each(4, (o) => pair((v) => `const w${o}_${v} = ${widened("F16", "from", o * 16, v)};`))}
      ${each(4, (o) => pair((v) => `v128.store(to, w${o}_${v}, ${o * 32 + v * 16});`))}
      to += 128;
    }
  }`;
}
