/** Tests that need a WebGPU adapter; one in software will do. */
import { createWebGpuBackend, openGpu } from "../../kernels/webgpu/mod.ts";
import type { Gpu, GpuOptions, WebGpuBackend } from "../../kernels/webgpu/mod.ts";

const adapter = await navigator.gpu?.requestAdapter();

/**
 * Whether there is an adapter, for tests that need one. Without it, a test of this name fails in CI and is skipped
 * elsewhere, with the reason in the name.
 */
export function withAdapter(name: string): boolean {
  if (adapter) return true;
  const reason = "no WebGPU adapter (apt-get install mesa-vulkan-drivers)";
  if (Deno.env.get("CI") === "true") {
    Deno.test(name, () => {
      throw new Error(`Cannot run in CI: ${reason}`);
    });
  } else Deno.test({ name: `${name} [skipped: ${reason}]`, ignore: true, fn: () => {} });
  return false;
}

/** Registers one test with a GPU and a backend of its own. */
export function gpuTest(
  name: string,
  body: (backend: WebGpuBackend, gpu: Gpu) => Promise<void>,
  options: GpuOptions & { maxBytes?: number } = {},
): void {
  if (!withAdapter(name)) return;
  Deno.test(name, async () => {
    await using opened = await openBackend(options);
    await body(opened.backend, opened.gpu);
  });
}

/** A backend with a GPU of its own. */
export async function openBackend(
  { maxBytes, ...options }: GpuOptions & { maxBytes?: number } = {},
): Promise<AsyncDisposable & { readonly backend: WebGpuBackend; readonly gpu: Gpu }> {
  const gpu = await openGpu(options);
  const backend = createWebGpuBackend({ gpu, ...(maxBytes !== undefined && { maxBytes }) });
  return {
    gpu,
    backend,
    async [Symbol.asyncDispose]() {
      backend.close();
      await gpu.close();
    },
  };
}
