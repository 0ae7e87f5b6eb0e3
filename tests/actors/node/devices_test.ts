import assert from "node:assert/strict";
import { type DeviceConfig, parseConfig } from "../../../actors/config/mod.ts";
import { chooseDevices } from "../../../actors/node/choose_devices.ts";
import { KeptDevice } from "../../../actors/node/kept_device.ts";
import { startNode } from "../../../actors/node/mod.ts";
import { type GpuInfo, KernelError } from "../../../kernels/mod.ts";
import { createLogger, createSystem } from "../../../runtime/mod.ts";
import { sharedTest } from "../../support/shared.ts";
import { greedyIds, publishedIds } from "./support.ts";

const auto: DeviceConfig = { name: "auto", kind: "auto", threads: 3, memory: 5e9 };

function gpu(software: boolean): Promise<GpuInfo> {
  return Promise.resolve({ description: "ACME 1", vendor: "acme", software, provider: "deno" });
}

Deno.test("chooseDevices() takes a real GPU before the CPU, and the CPU before one in software", async () => {
  const cpu = { name: "cpu", kind: "cpu", threads: 3 };
  assert.deepEqual(await chooseDevices([auto], () => gpu(false)), {
    devices: [{ name: "gpu", kind: "gpu", memory: 5e9 }, cpu],
    why: "Computing on the GPU, and on the CPU what it has no room for: ACME 1",
  });
  assert.deepEqual(await chooseDevices([auto], () => gpu(true)), {
    devices: [cpu],
    why: "Computing on the CPU: it is faster than a GPU in software, ACME 1",
  });
  const none = () => Promise.reject(new KernelError("Unsupported", "Cannot find a GPU"));
  assert.deepEqual(await chooseDevices([auto], none), {
    devices: [cpu],
    why: "Computing on the CPU: Cannot find a GPU",
  });
});

Deno.test("chooseDevices() leaves alone what is not open", async () => {
  const devices: DeviceConfig[] = [{ name: "a", kind: "gpu" }, { name: "b", kind: "cpu" }];
  assert.deepEqual(await chooseDevices(devices, () => gpu(true)), { devices });
});

Deno.test("chooseDevices() says that there is no GPU where one is asked for", async () => {
  const none = () => Promise.reject(new KernelError("Unsupported", "Cannot find a GPU"));
  await assert.rejects(chooseDevices([{ name: "a", kind: "gpu" }], none), KernelError);
});

Deno.test("chooseDevices() passes on what is no fault of a GPU", async () => {
  const broken = () => Promise.reject(new TypeError("a defect"));
  await assert.rejects(chooseDevices([auto], broken), TypeError);
});

sharedTest(
  "a GPU that is lost comes back, at last as a CPU, and no generation is lost",
  "models/stories260K",
  async (dir) => {
    const config = parseConfig({
      devices: [{ name: "gpu", kind: "gpu" }],
      families: [{ name: "family", levels: [{ name: "one", model: dir }] }],
    });
    const node = await startNode(config, {
      log: createLogger({ level: "silent" }),
      deviceModule: new URL("./device_to_lose.ts", import.meta.url),
    });
    const orders = new BroadcastChannel("lose the device");
    try {
      const router = node.routers.get("family")!;
      const { prompt, ids } = publishedIds(dir);
      const hosted = () => node.status().nodes[0]!;
      const kinds: string[] = [];
      for (let losses = 0; losses < 4; losses++) {
        const { revision } = hosted();
        const lose = async (count: number) => {
          if (count !== 20) return;
          orders.postMessage("now");
          while (hosted().revision === revision) await new Promise((next) => setTimeout(next, 5));
        };
        assert.deepEqual(await greedyIds(router, prompt, 120, lose), ids.slice(0, 120));
        kinds.push(...hosted().devices.map(({ kind }) => kind));
      }
      assert.deepEqual(kinds, ["gpu", "gpu", "gpu", "cpu"]);
    } finally {
      orders.close();
      await node.close();
    }
  },
);

Deno.test("a device that hangs is begun anew", async () => {
  const system = createSystem({ node: "local", log: createLogger({ level: "silent" }) });
  const isBack = Promise.withResolvers<void>();
  const device = new KeptDevice({ name: "gpu", kind: "gpu" }, {
    system,
    measured: false,
    module: new URL("./device_to_lose.ts", import.meta.url),
    pulse: { everyMs: 10, withinMs: 2000 },
    changed: isBack.resolve,
  });
  const orders = new BroadcastChannel("lose the device");
  try {
    await device.ready;
    orders.postMessage("hang");
    await isBack.promise;
    assert(await device.load((maxBytes) => Promise.resolve(maxBytes)) > 0);
  } finally {
    orders.close();
    device.retire();
    await system.shutdown();
    device.close();
  }
});

Deno.test("startNode() says in one line why a device cannot be started", async () => {
  const config = parseConfig({ devices: [{ name: "gpu", kind: "gpu" }] });
  const deviceModule = new URL("data:text/javascript,throw new Error('No such card')//");
  await assert.rejects(
    startNode(config, { log: createLogger({ level: "silent" }), deviceModule }),
    /^ConfigError: Cannot start device gpu: .*No such card/,
  );
});
