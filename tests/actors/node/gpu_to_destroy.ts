/** A node's device Worker whose GPU goes away at the Nth submit after N was said on the channel `destroy the gpu`. */
const [adapters, queues] = [GPUAdapter.prototype, GPUQueue.prototype];
const { requestDevice } = adapters;
const { submit } = queues;
let device: GPUDevice | undefined;
let submits = Infinity;

adapters.requestDevice = async function (descriptor) {
  return device = await requestDevice.call(this, descriptor);
};

queues.submit = function (buffers) {
  submit.call(this, buffers);
  if (--submits === 0) device!.destroy();
};

const orders = new BroadcastChannel("destroy the gpu");
orders.onmessage = ({ data }) => {
  if (!device) return;
  submits = data;
  orders.postMessage("understood");
};

await import(`../../../actors/node/device_worker.ts${new URL(import.meta.url).search}`);
