import { availableParallelism } from "node:os";
import type { System, Thread } from "../../runtime/mod.ts";
import type { DeviceConfig } from "../config/mod.ts";

/** A compute device of this node: its Worker, attached to the system under the device's name. */
export interface DeviceWorker {
  readonly config: DeviceConfig;
  readonly thread: Thread;
  close(): void;
}

/** Threads that a device computes with when its configuration does not say. */
export function defaultThreads(): number {
  return availableParallelism();
}

/** Starts the Worker of a device. */
export function startDevice(system: System, config: DeviceConfig): DeviceWorker {
  const url = new URL("./device_worker.ts", import.meta.url);
  url.searchParams.set("kind", config.kind);
  url.searchParams.set("threads", String(config.threads ?? defaultThreads()));
  const worker = new Worker(url, { type: "module", name: config.name });
  return {
    config,
    thread: system.attachThread(config.name, worker),
    close: () => worker.terminate(),
  };
}
