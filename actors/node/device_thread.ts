import { availableParallelism } from "node:os";
import type { System, Thread } from "../../runtime/mod.ts";
import type { DeviceConfig } from "../config/mod.ts";
import type { ChosenDevice } from "./choose_devices.ts";

/** A compute device of this node: its Worker, attached to the system under the device's name. */
export interface DeviceWorker {
  readonly config: DeviceConfig;
  readonly thread: Thread;
  close(): void;
}

/** The module that device Workers run. */
export const deviceWorkerModule: URL = new URL("./device_worker.ts", import.meta.url);

/** Budget of a GPU that nobody set: WebGPU does not tell how much memory there is, and most have more. */
const GPU_BYTES = 4 * 2 ** 30;

/** Bytes that all models and caches on a GPU may take together. */
export function gpuBudget({ memory }: DeviceConfig): number {
  return memory ?? GPU_BYTES;
}

/** Whether GPUs are measured at their first start: unless `TANDEM_GPU_TUNE` says `no`. */
function isTuned(): "yes" | "no" {
  return Deno.env.get("TANDEM_GPU_TUNE") === "no" ? "no" : "yes";
}

/** Starts the Worker of a device. */
export function startDevice(
  system: System,
  config: ChosenDevice,
  module: URL = deviceWorkerModule,
): DeviceWorker {
  const { name, kind, threads = availableParallelism(), provider = "deno" } = config;
  const url = new URL(module);
  url.search = new URLSearchParams({
    kind,
    threads: String(threads),
    ...(kind === "gpu" && { provider, memory: String(gpuBudget(config)), tune: isTuned() }),
  }).toString();
  const worker = new Worker(url, { type: "module", name });
  return {
    config,
    thread: system.attachThread(name, worker),
    close: () => worker.terminate(),
  };
}
