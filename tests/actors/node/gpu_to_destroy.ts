/** A node's device Worker whose GPU goes away when anything is said on the channel `destroy the gpu`. */
const { prototype } = GPUAdapter;
const requestDevice = prototype.requestDevice;
const orders = new BroadcastChannel("destroy the gpu");
prototype.requestDevice = async function (descriptor) {
  const device = await requestDevice.call(this, descriptor);
  orders.onmessage = () => device.destroy();
  return device;
};
await import(`../../../actors/node/device_worker.ts${new URL(import.meta.url).search}`);
