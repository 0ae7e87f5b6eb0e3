import { ActorError, type ActorRef, sleep, type System } from "../../runtime/mod.ts";
import type { DeviceFacts } from "../node_protocol.ts";
import { PARTITION_BYTES } from "../planner/mod.ts";
import type { ChosenDevice } from "./choose_devices.ts";
import { type DeviceWorker, gpuBudget, startDevice } from "./device_thread.ts";
import type { DeviceDescription, MeterProtocol } from "./meter.ts";

/** What a device that was not measured counts as: all the same. */
const UNKNOWN_SPEED = 1e9;

/** Share of a GPU's budget for weights and caches; the rest is for activations. */
const GPU_SHARE = 0.9;

/** A device that is lost more often than this within the time does not come back. */
const MOST_LOSSES = { count: 3, withinMs: 10 * 60_000 } as const;

/** How long a device is left alone after a loss: first, and how much longer after the next. */
const BACKOFF = { firstMs: 100, factor: 3 } as const;

/** How often a Worker is asked for a sign of life, and how long it may take: it gives none during a step. */
const PULSE = { everyMs: 15_000, withinMs: 120_000 } as const;

/** How a device is kept. */
export interface KeptDeviceOptions {
  readonly system: System;
  /** Whether its speed is measured: it is where there are others to compare it with. */
  readonly measured: boolean;
  /** The module that its Worker runs. */
  readonly module?: URL;
  /** How often its Worker is asked for a sign of life, and how long it may take, in milliseconds. */
  readonly pulse?: { readonly everyMs: number; readonly withinMs: number };
  /** Called after each change of {@link KeptDevice.facts}. */
  readonly changed: () => void;
}

/**
 * One device and its Worker, which is begun anew when it is lost: a few times; then on the CPU, under the same
 * name, if it was a GPU. What ran there is lost each time, and planned anew by whoever hears of it.
 */
export class KeptDevice {
  readonly #options: KeptDeviceOptions;
  #config: ChosenDevice;
  #worker: DeviceWorker | undefined;
  #facts: DeviceFacts | undefined;
  #description: DeviceDescription | null = null;
  #ready: Promise<void>;
  #losses: number[] = [];
  #closed = false;
  /** Parts that are being loaded, and all that ever were. */
  readonly #loads = { open: 0, total: 0 };

  /** Starts it. */
  constructor(config: ChosenDevice, options: KeptDeviceOptions) {
    this.#config = config;
    this.#options = options;
    this.#ready = this.#start();
    this.#ready.catch(() => {});
  }

  get name(): string {
    return this.#config.name;
  }

  /** What is announced of it, as long as it may be used. */
  get facts(): DeviceFacts | undefined {
    return this.#facts;
  }

  /** What it says of itself. */
  get description(): DeviceDescription | null {
    return this.#description;
  }

  /** Resolves once its Worker runs; rejects when it could not be started, or does not come back. */
  get ready(): Promise<void> {
    return this.#ready;
  }

  /** Loads a part on it, once its Worker runs; `work` is told the most bytes that the part may allocate. */
  async load<T>(work: (maxBytes: number) => Promise<T>): Promise<T> {
    await this.#ready;
    this.#loads.open++;
    this.#loads.total++;
    try {
      return await work(this.#config.kind === "gpu" ? gpuBudget(this.#config) : PARTITION_BYTES);
    } finally {
      this.#loads.open--;
    }
  }

  /** Ends its Worker for good; its actors should have stopped. */
  close(): void {
    this.#closed = true;
    this.#worker?.close();
  }

  /** Begins no other Worker from now on. */
  retire(): void {
    this.#closed = true;
  }

  async #start(): Promise<void> {
    const { system, measured, module } = this.#options;
    const worker = this.#worker = startDevice(system, this.#config, module);
    try {
      await worker.thread.ready;
      const meter = await system.spawnOn<MeterProtocol>(this.name, "meter", undefined);
      this.#description = await meter.ask("describe");
      const speed = measured ? await meter.ask("measure") : UNKNOWN_SPEED;
      void this.#watch(worker, meter);
      this.#facts = { name: this.name, kind: this.#config.kind, memory: this.#memory(), speed };
    } catch (error) {
      worker.close();
      throw error;
    }
    worker.thread.ended.then((why) => this.#lost(why));
  }

  /** Ends a Worker that hangs, as on a GPU that never answers. Loading a model takes the time that it takes. */
  async #watch({ thread, close }: DeviceWorker, meter: ActorRef<MeterProtocol>): Promise<void> {
    const { system: { clock, log }, pulse: { everyMs, withinMs } = PULSE } = this.#options;
    const end = new AbortController();
    thread.ended.then(() => end.abort());
    for (;;) {
      await sleep(clock, everyMs, end.signal).catch(() => {});
      if (end.signal.aborted) return;
      const { open, total } = this.#loads;
      const isLate = await isExpired(meter.ask("describe", undefined, { deadlineMs: withinMs }));
      if (!isLate || this.#closed || open > 0 || total < this.#loads.total) continue;
      log.error("A device gives no sign of life", { device: this.name, ms: withinMs });
      return close();
    }
  }

  #memory(): number {
    const machine = Deno.systemMemoryInfo().available;
    if (this.#config.kind === "gpu") return GPU_SHARE * gpuBudget(this.#config);
    return Math.min(this.#config.memory ?? machine, machine);
  }

  #lost(why: string): void {
    if (this.#closed) return;
    this.#options.system.log.error("Lost a device", { device: this.name, why });
    this.#ready = this.#comeBack(why);
    this.#ready.catch((error: Error) => {
      if (!this.#closed) this.#giveUp(error);
    });
  }

  /** Tries until its Worker runs again, or it was tried too often. */
  async #comeBack(why: string): Promise<void> {
    const { clock, log } = this.#options.system;
    for (let reason = why;;) {
      const now = clock.monotonic();
      this.#losses = this.#losses.filter((at) => now - at < MOST_LOSSES.withinMs);
      if (this.#losses.length >= MOST_LOSSES.count) this.#fallBack(reason);
      await sleep(clock, BACKOFF.firstMs * BACKOFF.factor ** this.#losses.length);
      this.#losses.push(now);
      if (this.#closed) throw new Error("The node stops");
      try {
        await this.#start();
        log.warn("A device is back", { device: this.name, kind: this.#config.kind });
        return this.#options.changed();
      } catch (error) {
        reason = (error as Error).message;
        log.error("Cannot bring a device back", { device: this.name, why: reason });
      }
    }
  }

  /** A GPU that does not come back becomes a CPU. */
  #fallBack(why: string): void {
    const { name, kind, threads } = this.#config;
    if (kind !== "gpu") throw new Error(`Cannot bring device ${name} back: ${why}`);
    this.#options.system.log.error("Goes on with the CPU in place of a GPU", { device: name, why });
    this.#config = { name, kind: "cpu", ...(threads && { threads }) };
    this.#losses = [];
  }

  #giveUp(error: Error): void {
    const { system, changed } = this.#options;
    system.log.error("Goes on without a device", { device: this.name, why: error.message });
    this.#facts = undefined;
    changed();
  }
}

/** Whether an ask was not answered in time. */
async function isExpired(answer: Promise<unknown>): Promise<boolean> {
  try {
    await answer;
    return false;
  } catch (error) {
    return error instanceof ActorError && error.code === "Timeout";
  }
}
