/** Decides what a node computes with where its configuration leaves that open. */
import { type DeviceKind, findGpu, type GpuInfo, KernelError } from "../../kernels/mod.ts";
import type { DeviceConfig } from "../config/mod.ts";

/** A device of which it is known what computes. */
export type ChosenDevice = DeviceConfig & { readonly kind: DeviceKind };

/** What a node computes with, and why, for people. */
export interface DeviceChoice {
  readonly devices: readonly ChosenDevice[];
  /** One line; absent when nothing was left open. */
  readonly why?: string;
}

/**
 * Replaces `auto` by a real GPU before the CPU, or by the CPU alone where there is only a GPU in software, or
 * none. `find` says what GPU there is, and throws `KernelError` when there is none; so does this if one is asked for.
 */
export async function chooseDevices(
  devices: readonly DeviceConfig[],
  find: () => Promise<GpuInfo> = findGpu,
): Promise<DeviceChoice> {
  if (devices.some(({ kind }) => kind === "auto" || kind === "gpu")) quietDrivers();
  const isFound = ({ kind, provider = "deno" }: DeviceConfig) =>
    kind === "gpu" && provider === "deno";
  if (devices.some(isFound)) await find();
  const auto = devices.find(({ kind }) => kind === "auto");
  if (!auto) return { devices: devices as readonly ChosenDevice[] };
  const { memory, threads } = auto;
  const cpu: ChosenDevice = { name: "cpu", kind: "cpu", ...(threads && { threads }) };
  const found = await lookFor(find);
  if (typeof found === "string") return { devices: [cpu], why: `Computing on the CPU: ${found}` };
  const gpu: ChosenDevice = { name: "gpu", kind: "gpu", ...(memory && { memory }) };
  return {
    devices: [gpu, cpu],
    why: `Computing on the GPU, and on the CPU what it has no room for: ${found.description}`,
  };
}

/** A real GPU, or why there is none. */
async function lookFor(find: () => Promise<GpuInfo>): Promise<GpuInfo | string> {
  try {
    const gpu = await find();
    return gpu.software ? `it is faster than a GPU in software, ${gpu.description}` : gpu;
  } catch (error) {
    if (error instanceof KernelError) return error.message;
    throw error;
  }
}

/** Graphics libraries complain on standard error of a machine where nobody has logged in. */
function quietDrivers(): void {
  if (!Deno.env.has("XDG_RUNTIME_DIR")) Deno.env.set("XDG_RUNTIME_DIR", "/tmp");
}
