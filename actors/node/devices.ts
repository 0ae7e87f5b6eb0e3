import { availableParallelism } from "node:os";
import type { System, Thread } from "../../runtime/mod.ts";
import type { DeviceConfig } from "../config/mod.ts";
import type { DeviceFacts } from "../node_protocol.ts";
import type { MeterProtocol } from "./meter.ts";

/** A compute device of this node: its Worker, attached to the system under the device's name. */
export interface DeviceWorker {
  readonly config: DeviceConfig;
  readonly thread: Thread;
  close(): void;
}

/** What a device that was not measured counts as: all the same. */
const UNKNOWN_SPEED = 1e9;

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

/** What a node announces of its devices; their speed is measured where it matters, one after another. */
export async function describeDevices(
  system: System,
  devices: readonly DeviceWorker[],
  measured: boolean,
): Promise<DeviceFacts[]> {
  const machine = Deno.systemMemoryInfo().available;
  const facts: DeviceFacts[] = [];
  for (const { config: { name, kind, memory } } of devices) {
    const speed = measured ? await measure(system, name) : UNKNOWN_SPEED;
    facts.push({ name, kind, memory: Math.min(memory ?? machine, machine), speed });
  }
  return facts;
}

async function measure(system: System, device: string): Promise<number> {
  const meter = await system.spawnOn<MeterProtocol>(device, "meter", undefined);
  const speed = await meter.ask("measure");
  await system.stop(meter);
  return speed;
}
