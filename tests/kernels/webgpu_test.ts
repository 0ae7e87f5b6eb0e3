import { openBackend, withAdapter } from "../support/gpu.ts";
import { backendContract } from "./backend_contract.ts";

if (withAdapter("webgpu fulfils the backend contract")) {
  backendContract({
    name: "webgpu",
    threads: [1],
    create: ({ maxBytes }) => openBackend(maxBytes === undefined ? {} : { maxBytes }),
  });
}
