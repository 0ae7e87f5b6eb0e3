/** Where a `GPU` object comes from. */
import { KernelError } from "../errors.ts";

/** `deno`: `navigator.gpu`, which needs nothing more. `dawn`: the npm package `webgpu`, loaded when asked for. */
export type GpuProvider = "deno" | "dawn";

/** What a provider offers. */
export interface Provided {
  readonly gpu: GPU;
  /** Whether its WGSL compiler wants `enable subgroups;`; naga refuses to parse it. */
  readonly enablesSubgroups: boolean;
}

/** Loads a provider. Throws `Unsupported` where it does not exist. */
export async function provide(provider: GpuProvider): Promise<Provided> {
  if (provider === "dawn") return { gpu: await dawn(), enablesSubgroups: true };
  if (navigator.gpu) return { gpu: navigator.gpu, enablesSubgroups: false };
  throw new KernelError("Unsupported", "Cannot find WebGPU in this runtime: navigator.gpu");
}

async function dawn(): Promise<GPU> {
  try {
    // Not a literal, so that nobody needs to install it who does not ask for it.
    const name = "npm:webgpu@0.6.2";
    const { create } = await import(name);
    return create([]);
  } catch (error) {
    throw new KernelError("Unsupported", `Cannot load the WebGPU provider dawn: ${error}`);
  }
}
