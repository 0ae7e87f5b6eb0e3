import { createWebGpuBackend, openGpu } from "../../kernels/webgpu/mod.ts";
import { backendContract } from "./backend_contract.ts";

backendContract({
  name: "webgpu",
  threads: [1],
  async create({ maxBytes }) {
    const gpu = await openGpu();
    const backend = createWebGpuBackend({ gpu, ...(maxBytes && { maxBytes }) });
    return {
      backend,
      async [Symbol.asyncDispose]() {
        backend.close();
        await gpu.close();
      },
    };
  },
});
