/** Tests that need a WebGPU adapter; one in software will do. */
import { opened } from "../../kernels/webgpu/gpu.ts";
import { createWebGpuBackend, findGpu, openGpu } from "../../kernels/webgpu/mod.ts";
import type {
  Gpu,
  GpuOptions,
  GpuProvider,
  WebGpuBackend,
  WebGpuBackendOptions,
} from "../../kernels/webgpu/mod.ts";

/** How to open a GPU, and its backend. */
type OpenOptions = GpuOptions & Omit<WebGpuBackendOptions, "gpu">;

const provider = (Deno.env.get("TANDEM_TEST_PROVIDER") ?? "deno") as GpuProvider;
const adapter = await findGpu(provider).catch(() => undefined);
const wanted = Deno.env.get("TANDEM_TEST_ADAPTER") ?? "";
if (adapter && !new RegExp(wanted, "i").test(adapter.description)) {
  throw new Error(`Cannot test on ${wanted}, adapter: ${adapter.description}`);
}

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
  options: OpenOptions = {},
): void {
  if (!withAdapter(name)) return;
  Deno.test(name, async () => {
    await using opened = await openBackend(options);
    await body(opened.backend, opened.gpu);
  });
}

/** A backend under test. */
export type OpenBackend = AsyncDisposable & {
  readonly backend: WebGpuBackend;
  readonly gpu: Gpu;
};

/** A backend with a GPU of its own. */
export async function openBackend(options: OpenOptions = {}): Promise<OpenBackend> {
  const gpu = await openGpu({ provider, ...options });
  const backend = createWebGpuBackend({ ...options, gpu });
  return {
    gpu,
    backend,
    async [Symbol.asyncDispose]() {
      backend.close();
      await gpu.close();
    },
  };
}

/** One GPU for many tests, which compile a kernel once. It stays open. */
export class SharedGpu {
  #gpu: Promise<Gpu> | undefined;

  /** A backend of its own on it. */
  async backend(options: Omit<WebGpuBackendOptions, "gpu"> = {}): Promise<OpenBackend> {
    const gpu = await (this.#gpu ??= openGpu({ provider }));
    const backend = createWebGpuBackend({ ...options, gpu });
    return {
      gpu,
      backend,
      async [Symbol.asyncDispose]() {
        backend.close();
        await opened(gpu).mapper.settled();
      },
    };
  }
}
