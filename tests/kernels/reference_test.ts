import { createReferenceBackend } from "../../kernels/reference/mod.ts";
import { backendContract } from "./backend_contract.ts";

backendContract({
  name: "reference",
  threads: [1],
  create({ maxBytes }) {
    const backend = createReferenceBackend(maxBytes ? { maxBytes } : {});
    return Promise.resolve({ backend, [Symbol.dispose]: () => backend.close() });
  },
});
