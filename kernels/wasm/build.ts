/** Compiles the AssemblyScript kernels: once with relaxed SIMD, once without for machines that lack it. */
import asc from "assemblyscript/asc";
import { tileSource } from "./tiles/mod.ts";

/** The compiled files by their names in this folder. */
export async function compileKernels(): Promise<Map<string, Uint8Array>> {
  return new Map([
    ["kernels_relaxed.wasm", await compile(["simd", "threads", "relaxed-simd"])],
    ["kernels_simd.wasm", await compile(["simd", "threads"])],
  ]);
}

async function compile(features: readonly string[]): Promise<Uint8Array> {
  const folder = new URL("./assembly/", import.meta.url);
  let output: Uint8Array | undefined;
  const { error, stderr } = await asc.main(
    [
      "index.ts",
      "--outFile",
      "kernels.wasm",
      ...options,
      ...features.flatMap((f) => ["--enable", f]),
    ],
    {
      readFile: (name: string) =>
        name === "tiles.ts" ? tileSource() : readSource(new URL(name, folder)),
      writeFile: (_name: string, contents: Uint8Array | string) => {
        if (typeof contents !== "string") output = contents;
      },
      listFiles: () => [],
    },
  );
  if (error || !output) throw new Error(`Cannot compile the kernels: ${error?.message}\n${stderr}`);
  return output;
}

/** From -O2 on, instructions of tiles are nested by accumulator, and need more registers than there are. */
const options = [
  "-O1",
  "--noAssert",
  "--runtime",
  "stub",
  "--importMemory",
  "--sharedMemory",
  "--initialMemory",
  "1",
  "--maximumMemory",
  "65536",
  "--noExportMemory",
];

function readSource(url: URL): string | null {
  try {
    return Deno.readTextFileSync(url);
  } catch {
    return null;
  }
}

if (import.meta.main) {
  for (const [name, bytes] of await compileKernels()) {
    Deno.writeFileSync(new URL(name, import.meta.url), bytes);
    console.log(`${name}: ${bytes.length} bytes`);
  }
}
