import asc from "assemblyscript/asc";

/** Independent chains: enough to hide latencies, also when pairs are joined, and few enough for the registers. */
const chains = Array.from({ length: 14 }, (_, i) => i);

/** Bytes of one step of `read`. */
export const stepBytes = 16 * chains.length;

/** Operations of one step of `multiply`: 4 lanes, each multiplied and added. */
export const stepFlop = 8 * chains.length;

const each = (line: (i: number) => string) => chains.map(line).join("\n");

/**
 * The plainest kernels there are: `read` adds up all bytes of a range, whose length is a multiple of `stepBytes`;
 * `multiply` multiplies and adds in registers. Its factor is a parameter, for a constant would be built anew at
 * every use. Sums are stored side by side, so that V8 may join pairs of them.
 */
const source = `
export function fill(address: usize, bytes: usize): void {
  memory.fill(address, 1, bytes);
}

export function read(address: usize, bytes: usize, sink: usize): void {
  ${each((i) => `let sum${i} = i64x2.splat(0);`)}
  const end = address + bytes;
  for (; address < end; address += ${stepBytes}) {
    ${each((i) => `sum${i} = i64x2.add(sum${i}, v128.load(address, ${16 * i}));`)}
  }
  ${each((i) => `v128.store(sink, sum${i}, ${16 * i});`)}
}

export function multiply(steps: i32, number: f32, sink: usize): void {
  const factor = f32x4.splat(number);
  ${each((i) => `let sum${i} = v128.load(sink, ${16 * i});`)}
  for (; steps > 0; steps--) {
    ${each((i) => `sum${i} = f32x4.relaxed_madd(factor, factor, sum${i});`)}
  }
  ${each((i) => `v128.store(sink, sum${i}, ${16 * i});`)}
}
`;

/** Compiles the kernels for a shared, imported memory. */
export async function compilePlain(): Promise<WebAssembly.Module> {
  let output: Uint8Array<ArrayBuffer> | undefined;
  const { error, stderr } = await asc.main([
    ...["plain.ts", "--outFile", "plain.wasm", "-O3", "--noAssert", "--runtime", "stub"],
    ...["--importMemory", "--sharedMemory", "--initialMemory", "1", "--maximumMemory", "65536"],
    ...["simd", "threads", "relaxed-simd"].flatMap((feature) => ["--enable", feature]),
  ], {
    readFile: (name) => name === "plain.ts" ? source : null,
    writeFile: (_, contents) => {
      if (typeof contents !== "string") output = contents as Uint8Array<ArrayBuffer>;
    },
    listFiles: () => [],
  });
  if (error || !output) {
    throw new Error(`Cannot compile plain kernels: ${error?.message} ${stderr}`);
  }
  return new WebAssembly.Module(output);
}
