/** One GPU: its device, compiled kernels and faults, shared by the backends on it. */
import { KernelError } from "../errors.ts";
import { Faults } from "./faults.ts";
import { Mapper, type Mapping } from "./mapper.ts";
import { Budget } from "./memory.ts";
import { Pipelines } from "./pipelines.ts";
import { type GpuProvider, provide } from "./provider.ts";
import { readSources } from "./sources.ts";
import type { BindingLimits } from "./tensor.ts";

/** Options of {@link openGpu}. */
export interface GpuOptions {
  /** Where WebGPU comes from; default `deno`. */
  readonly provider?: GpuProvider;
  /** Most bytes that its backends may allocate together; default no bound: WebGPU does not tell what there is. */
  readonly maxBytes?: number;
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
  /** Whether subgroup operations work. */
  readonly subgroups: boolean;
  /** Whether 16-bit floats work in kernels. */
  readonly f16: boolean;
  /** Whether passes can be timed. */
  readonly timestamps: boolean;
  /** How results are read back. */
  readonly mapping: Mapping;
  /** Whether the device is gone: whatever it is asked from now on fails. */
  readonly lost: boolean;
  /** Resolves, with the reason, when the device is gone. */
  readonly loss: Promise<string>;
  /** Gives the device back; close its backends first. */
  close(): Promise<void>;
}

/** Says what {@link openGpu} would open, and leaves it alone. Throws `Unsupported` where there is none. */
export async function findGpu(provider: GpuProvider = "deno"): Promise<GpuInfo> {
  const { gpu } = await provide(provider);
  return describe(await requestAdapter(gpu, provider), provider);
}

/** Opens the adapter that the provider prefers. Throws `Unsupported` where there is none. */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  const provider = options.provider ?? "deno";
  const [{ gpu, enablesSubgroups }, sources] = await Promise.all([
    provide(provider),
    readSources(),
  ]);
  const adapter = await requestAdapter(gpu, provider);
  const device = await requestDevice(adapter, options.subgroups ?? true);
  const faults = new Faults(device);
  return new OpenGpu({
    provided: gpu,
    device,
    faults,
    budget: new Budget(options.maxBytes ?? Number.MAX_SAFE_INTEGER),
    info: describe(adapter, provider),
    mapper: await Mapper.create(device, faults, options.mapping),
    pipelines: new Pipelines(device, faults, sources, { enablesSubgroups }),
    ...(options.shardBytes !== undefined && { shardBytes: options.shardBytes }),
  });
}

/** An open GPU as this folder sees it. Throws `InvalidArgument` for one that it did not open. */
export function opened(gpu: Gpu): OpenGpu {
  if (gpu instanceof OpenGpu) return gpu;
  throw new KernelError("InvalidArgument", `Cannot use a GPU of another kind: ${gpu}`);
}

/** What the backends on one GPU share. */
export class OpenGpu implements Gpu {
  readonly info: GpuInfo;
  /** Held because Dawn ends, and the process with it, once nobody does. */
  readonly provided: GPU;
  readonly device: GPUDevice;
  readonly subgroups: boolean;
  readonly f16: boolean;
  readonly timestamps: boolean;
  readonly limits: BindingLimits;
  readonly mapper: Mapper;
  readonly pipelines: Pipelines;
  readonly faults: Faults;
  /** Of all backends on it together. */
  readonly budget: Budget;

  constructor(
    { info, provided, device, mapper, pipelines, faults, budget, shardBytes = Infinity }:
      & Pick<OpenGpu, "info" | "provided" | "device" | "mapper" | "pipelines" | "faults" | "budget">
      & { readonly shardBytes?: number },
  ) {
    const { features, limits } = device;
    const bindingBytes = Math.floor(limits.maxStorageBufferBindingSize / 16) * 16;
    this.info = info;
    this.provided = provided;
    this.device = device;
    this.subgroups = features.has("subgroups");
    this.f16 = features.has("shader-f16");
    this.timestamps = features.has("timestamp-query");
    this.limits = { bindingBytes, shardBytes: Math.min(shardBytes, bindingBytes) };
    this.mapper = mapper;
    this.pipelines = pipelines;
    this.faults = faults;
    this.budget = budget;
  }

  get mapping(): Mapping {
    return this.mapper.mapping;
  }

  get lost(): boolean {
    return this.faults.lost;
  }

  get loss(): Promise<string> {
    return this.faults.loss;
  }

  async close(): Promise<void> {
    await this.mapper.settled();
    this.device.destroy();
  }
}

const requested = [
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
] as const;

async function requestAdapter(gpu: GPU, provider: GpuProvider): Promise<GPUAdapter> {
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter) return adapter;
  throw new KernelError("Unsupported", `Cannot find a GPU adapter: ${provider}`);
}

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
