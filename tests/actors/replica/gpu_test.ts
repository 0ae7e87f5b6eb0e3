import assert from "node:assert/strict";
import { definePartition, Replica } from "../../../actors/replica/mod.ts";
import { type Device, openDevice, type Range } from "../../../kernels/mod.ts";
import { createLogger, createSystem, type System } from "../../../runtime/mod.ts";
import { withAdapter } from "../../support/gpu.ts";
import { sharedTest } from "../../support/shared.ts";
import { prefixes } from "../node/support.ts";
import { greedyFrom, spread } from "./spread.ts";

const layers = (first: number, count: number): Range => ({ first, count });

/** A device whose GPU can be lost, as when a driver resets, and is opened again, as a node does. */
class LosableDevice implements Device {
  readonly kind = "gpu";
  #device: Promise<Device> = openDevice("gpu", 1);
  #lose = () => {};
  backends = 0;

  async createBackend(maxBytes: number) {
    const backend = await (await this.#device).createBackend(maxBytes);
    const { device } = backend as unknown as { readonly device: GPUDevice };
    this.#lose = () => device.destroy();
    this.backends++;
    return backend;
  }

  lose(): void {
    this.#lose();
    this.#device = openDevice("gpu", 1);
  }

  async close(): Promise<void> {
    await (await this.#device).close();
  }
}

async function withGpu(body: (system: System, device: LosableDevice) => Promise<void>) {
  const device = new LosableDevice();
  const log = createLogger({ level: "silent" });
  const system = createSystem({ node: "local", kinds: [definePartition(device), Replica], log });
  try {
    await body(system, device);
  } finally {
    await system.shutdown();
    await device.close();
  }
}

if (withAdapter("replicas on a GPU")) {
  sharedTest(
    "a GPU that is lost in mid-generation loses no request",
    "models/stories260K-moe4",
    (dir) =>
      withGpu(async (system, device) => {
        const place = "local/main";
        const layout = {
          model: dir,
          partitions: [[place, layers(0, 2)], [place, layers(2, 3)]] as const,
        };
        const [one, two] = [
          await spread(system, "one", layout),
          await spread(system, "two", layout),
        ];
        let lost = 0;
        const lose = (count: number) => {
          if (count === 15 && lost++ === 0) device.lose();
        };
        const replicas = [one, two, one, two, one, two];
        const cases = prefixes(dir, 4, 40);
        const answers = await Promise.all(
          cases.map(({ prompt }) => greedyFrom(replicas, prompt, 40, lose)),
        );
        assert.deepEqual(answers, cases.map(({ next }) => next));
        assert(lost > 0 && device.backends > 4, "partitions were loaded again");
      }),
  );
}
