import {
  createWebGpuBackend,
  type Gpu,
  type GpuProvider,
  type GpuSpeed,
  KernelError,
  measureGpu,
  openGpu,
} from "../../kernels/mod.ts";
import { SELF_TEST_ERROR } from "./cpu.ts";
import { type Finding, reasonOf } from "./finding.ts";
import { selfTest } from "./self_test.ts";

const NO_ADAPTER =
  "A GPU needs its vendor's Vulkan driver and the loader (Debian: apt-get install libvulkan1, and " +
  "mesa-vulkan-drivers for AMD and Intel; NVIDIA's driver also needs libx11-6 and libxext6, screen or not)";

/** The adapter that WebGPU gives: features, limits, self-tests, and what it reaches in WGSL. */
export async function inspectGpu(provider: GpuProvider): Promise<Finding> {
  try {
    const gpu = await openGpu({ provider });
    try {
      return describe(gpu, await tryGpu(gpu), await measureGpu(gpu));
    } finally {
      await gpu.close();
    }
  } catch (error) {
    const isAbsent = error instanceof KernelError && error.code === "Unsupported";
    return {
      part: "gpu",
      verdict: isAbsent ? "warning" : "problem",
      summary: reasonOf(error),
      details: ["models run on the CPU"],
      ...(isAbsent && { advice: NO_ADAPTER }),
      facts: { adapter: null },
    };
  }
}

async function tryGpu(gpu: Gpu): Promise<number> {
  const backend = createWebGpuBackend({ gpu, maxBytes: 2 ** 26 });
  try {
    return await selfTest(backend);
  } finally {
    backend.close();
  }
}

function describe(gpu: Gpu, error: number, speed: GpuSpeed): Finding {
  const { info, device, subgroups, f16, timestamps } = gpu;
  const features = { subgroups, f16, timestamps };
  const names = Object.entries(features).map(([name, has]) => `${name} ${has ? "yes" : "no"}`);
  const isRight = error < SELF_TEST_ERROR;
  const advice = adviceFor(isRight, info.software);
  return {
    part: "gpu",
    verdict: isRight ? info.software ? "warning" : "ok" : "problem",
    summary: `${info.description}, by ${info.provider === "deno" ? "navigator.gpu" : "Dawn"}`,
    details: [
      `features: ${names.join(", ")}`,
      `limits: ${mebibytes(device.limits.maxStorageBufferBindingSize)} a binding, ` +
      `${mebibytes(device.limits.maxBufferSize)} a buffer, ` +
      `${device.limits.maxComputeWorkgroupStorageSize} bytes a workgroup`,
      `self-test: relative error ${error.toExponential(1)}`,
      `readback: ${gpu.mapping} map, ${speed.readbackMs.toFixed(3)} ms`,
      `speed in WGSL: copy ${(speed.copyBytesPerSecond / 1e9).toFixed(1)} GB/s, ` +
      `f32 ${(speed.flopsPerSecond / 1e12).toPrecision(3)} TFLOP/s`,
    ],
    ...(advice !== undefined && { advice }),
    facts: {
      adapter: info,
      features,
      limits: {
        bindingBytes: device.limits.maxStorageBufferBindingSize,
        bufferBytes: device.limits.maxBufferSize,
        workgroupBytes: device.limits.maxComputeWorkgroupStorageSize,
      },
      selfTestError: error,
      mapping: gpu.mapping,
      ...speed,
    },
  };
}

function adviceFor(isRight: boolean, isSoftware: boolean): string | undefined {
  if (!isRight) return "Kernels compute wrong results on this driver: please report it";
  if (!isSoftware) return undefined;
  return `A software adapter: right, but far slower than the CPU backend. ${NO_ADAPTER}`;
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 2 ** 20)} MiB`;
}
