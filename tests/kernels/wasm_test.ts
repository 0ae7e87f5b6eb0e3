import { createWasmBackend, createWasmThreads } from "../../kernels/wasm/mod.ts";
import { backendContract } from "./backend_contract.ts";

for (const relaxed of [true, false]) {
  backendContract({
    name: relaxed ? "wasm, relaxed SIMD" : "wasm",
    threads: [1, 2, 3],
    async create({ threads: count, maxBytes }) {
      const threads = await createWasmThreads(count);
      const options = { threads, relaxed };
      const backend = await createWasmBackend(maxBytes ? { ...options, maxBytes } : options);
      return {
        backend,
        [Symbol.dispose]() {
          backend.close();
          threads.close();
        },
      };
    },
  });
}
