/** One GPU: its device, compiled kernels and faults, shared by the backends on it. */
import { KernelError } from "../errors.ts";
import { Faults } from "./faults.ts";
import { Mapper, type Mapping } from "./mapper.ts";
import { Pipelines } from "./pipelines.ts";
import { type GpuProvider, provide } from "./provider.ts";

import { readSources } from "./sources.ts";
import type { BindingLimits } from "./tensor.ts";

/** Options of {@link openGpu}. */
export interface GpuOptions {
  /** Where WebGPU comes from; default `deno`. */
  readonly provider?: GpuProvider;
  /** Most bytes of a weight in one buffer, where less than the adapter's limit is wanted. */
  readonly shardBytes?: number;
  /** Whether subgroup operations may be used; default where they work. */
  readonly subgroups?: boolean;
  /** How results are read back; by default the fastest that works. */
  readonly mapping?: Mapping;
}

/** What an adapter says of itself. */
export interface GpuInfo {
  /** Vendor, architecture, device and description, as far as known. */
  readonly description: string;
  /** The vendor as the provider names it. */
  readonly vendor: string;
  /** Whether it computes on the CPU. */
  readonly software: boolean;
  /** Where WebGPU comes from. */
  readonly provider: GpuProvider;
}

/** An open GPU. */
export interface Gpu {
  /** What the adapter says of itself. */
  readonly info: GpuInfo;
  /** The device. */
  readonly device: GPUDevice;
  /** How much may be bound at once. */
  readonly limits: BindingLimits;
  /** Whether subgroup operations work. */
  readonly subgroups: boolean;
  /** Whether 16-bit floats work in kernels. */
  readonly f16: boolean;
  /** Whether passes can be timed. */
  readonly timestamps: boolean;
  /** Reads results back. */
  readonly mapper: Mapper;
  /** Its compiled kernels. */
  readonly pipelines: Pipelines;
  /** Its errors. */
  readonly faults: Faults;
  /** Gives the device back; close its backends first. */
  close(): Promise<void>;
}

/** Opens the adapter that the provider prefers. Throws `Unsupported` where there is none. */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  const provider = options.provider ?? "deno";
  const [{ gpu, enablesSubgroups }, sources] = await Promise.all([
    provide(provider),
    readSources(),
  ]);
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new KernelError("Unsupported", `Cannot find a GPU adapter: ${provider}`);
  const device = await requestDevice(adapter, options.subgroups ?? true);
  const faults = new Faults(device);
  const mapper = await Mapper.create(device, options.mapping);
  const bindingBytes = Math.floor(device.limits.maxStorageBufferBindingSize / 16) * 16;
  return {
    info: describe(adapter, provider),
    device,
    limits: {
      bindingBytes,
      shardBytes: Math.min(options.shardBytes ?? bindingBytes, bindingBytes),
    },
    subgroups: device.features.has("subgroups"),
    f16: device.features.has("shader-f16"),
    timestamps: device.features.has("timestamp-query"),
    mapper,
    pipelines: new Pipelines(device, faults, sources, { enablesSubgroups }),
    faults,
    close: async () => {
      await mapper.settled();
      device.destroy();
    },
  };
}

const requested = [
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
] as const;

/** Asks for all that the adapter has; Deno's features do not list `subgroups`, which works if asked for. */
async function requestDevice(adapter: GPUAdapter, subgroups: boolean): Promise<GPUDevice> {
  const optional = ["shader-f16", "timestamp-query"] as const;
  const features: GPUFeatureName[] = optional.filter((name) => adapter.features.has(name));
  const requiredLimits = Object.fromEntries(requested.map((name) => [name, adapter.limits[name]]));
  const request = (requiredFeatures: GPUFeatureName[]) =>
    adapter.requestDevice({ requiredFeatures, requiredLimits });
  if (!subgroups) return await request(features);
  try {
    return await request([...features, "subgroups" as GPUFeatureName]);
  } catch {
    return await request(features);
  }
}

function describe({ info }: GPUAdapter, provider: GpuProvider): GpuInfo {
  const { vendor, architecture, device, description } = info;
  const named = [vendor, architecture, device, description].filter((part) => part && part !== "0");
  const isSoftware = /llvmpipe|lavapipe|swiftshader|softpipe|basic render/i.test(named.join(" "));
  return {
    description: named.join(" "),
    vendor,
    software: isSoftware || (info as { isFallbackAdapter?: boolean }).isFallbackAdapter === true,
    provider,
  };
}
