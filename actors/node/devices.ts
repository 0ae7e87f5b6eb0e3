import { reject, type System } from "../../runtime/mod.ts";
import { ConfigError, type DeviceConfig } from "../config/mod.ts";
import type { DeviceFacts } from "../node_protocol.ts";
import { chooseDevices } from "./choose_devices.ts";
import { KeptDevice } from "./kept_device.ts";

/** How a node's devices are started. */
export interface DevicesOptions {
  readonly system: System;
  /** Whether other nodes compute, too: then their speeds are compared. */
  readonly together: boolean;
  /** The module that their Workers run; the node's own by default. */
  readonly module?: URL;
  /** Called after each change of {@link Devices.facts}. */
  readonly changed: () => void;
  /** Told, in a line, what was chosen. */
  readonly progress: (line: string) => void;
}

/** The compute devices of a node. */
export class Devices {
  readonly #devices: readonly KeptDevice[];

  private constructor(devices: readonly KeptDevice[]) {
    this.#devices = devices;
  }

  /** Starts them, one after another, since some are measured. Throws `ConfigError` when one cannot be started. */
  static async start(
    configs: readonly DeviceConfig[],
    { together, progress, ...options }: DevicesOptions,
  ): Promise<Devices> {
    const { devices, why } = await chooseDevices(configs);
    if (why) progress(why);
    const measured = together || devices.length > 1;
    const kept: KeptDevice[] = [];
    for (const config of devices) {
      const device = new KeptDevice(config, { ...options, measured });
      kept.push(device);
      await device.ready.catch(({ message }: Error) => {
        for (const device of kept) device.close();
        throw new ConfigError("Usage", `Cannot start device ${config.name}: ${message}`);
      });
    }
    return new Devices(kept);
  }

  /** What is announced of them. */
  get facts(): DeviceFacts[] {
    return this.#devices.flatMap(({ facts }) => facts ?? []);
  }

  /** What people should know, a line each. */
  get warnings(): string[] {
    return this.#devices.flatMap(({ name, description }) =>
      description?.software
        ? [`Device ${name} is a GPU in software, slower than the CPU: ${description.description}`]
        : []
    );
  }

  /** Loads a part on a device, once that is there; `work` is told the most bytes that the part may allocate. */
  async load<T>(name: string, work: (maxBytes: number) => Promise<T>): Promise<T> {
    const device = this.#devices.find((candidate) => candidate.name === name) ??
      reject(`Cannot find a device: ${name}`);
    return await device.load(work);
  }

  /** Begins no more Workers: the node stops. */
  retire(): void {
    for (const device of this.#devices) device.retire();
  }

  /** Ends their Workers. */
  close(): void {
    for (const device of this.#devices) device.close();
  }
}
