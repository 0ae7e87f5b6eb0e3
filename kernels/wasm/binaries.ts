/** The compiled kernels, and what they ask of the runtime. */

/** What the WebAssembly of this runtime and machine can do. */
export interface CpuFeatures {
  /** 128-bit vectors and shared memory: without them there is no CPU backend. */
  readonly simd: boolean;
  /** Relaxed vectors: integer dot products and fused multiply-adds of the machine. */
  readonly "relaxed simd": boolean;
}

/** Compiles the kernels; with `relaxed` absent, those that the machine takes. */
export async function loadKernels(relaxed?: boolean): Promise<WebAssembly.Module> {
  if (relaxed !== false) {
    const bytes = await readKernels("kernels_relaxed.wasm");
    if (relaxed || WebAssembly.validate(bytes)) return new WebAssembly.Module(bytes);
  }
  return new WebAssembly.Module(await readKernels("kernels_simd.wasm"));
}

/** Asks whether the runtime takes the kernels. */
export async function cpuFeatures(): Promise<CpuFeatures> {
  const [simd, relaxed] = await Promise.all(
    (["kernels_simd.wasm", "kernels_relaxed.wasm"] as const).map(readKernels),
  );
  return { simd: WebAssembly.validate(simd!), "relaxed simd": WebAssembly.validate(relaxed!) };
}

async function readKernels(name: string): Promise<Uint8Array<ArrayBuffer>> {
  return (await fetch(new URL(name, import.meta.url))).bytes();
}
