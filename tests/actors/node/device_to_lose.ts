/**
 * A node's device Worker that computes on the CPU whatever it is asked for, and, as a `gpu`, dies when anything
 * is said on the channel `lose the device`, or hangs on `hang`.
 */
const { searchParams } = new URL(import.meta.url);
if (searchParams.get("kind") === "gpu") {
  new BroadcastChannel("lose the device").onmessage = ({ data }) => {
    while (data === "hang");
    throw new Error("Lost on order");
  };
}
await import("../../../actors/node/device_worker.ts?kind=cpu&threads=1");
