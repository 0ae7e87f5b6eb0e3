import { SharedGpu, withAdapter } from "../support/gpu.ts";
import { backendContract } from "./backend_contract.ts";

if (withAdapter("webgpu fulfils the backend contract")) {
  const gpu = new SharedGpu();
  backendContract({
    name: "webgpu",
    threads: [1],
    // Products in integers are what real GPUs use.
    create: ({ maxBytes }) =>
      gpu.backend({ tuning: { packed: 1 }, ...(maxBytes !== undefined && { maxBytes }) }),
  });
}
