/** The backends that models are tested on. */
import type { Backend } from "../../../kernels/backend.ts";
import { createReferenceBackend } from "../../../kernels/reference/mod.ts";
import { createWasmBackend, createWasmThreads } from "../../../kernels/wasm/mod.ts";
import { SharedGpu, withAdapter } from "../../support/gpu.ts";

/** A kind of backend. */
export interface TestedBackend {
  readonly name: Backend["name"];
  /** Runs `body` with a way to make backends, and closes them all afterwards. */
  with(body: (create: () => Promise<Backend>) => Promise<void>): Promise<void>;
}

const gpu = new SharedGpu();
const webgpu: TestedBackend = {
  name: "webgpu",
  with: async (body) => {
    await using opened = new AsyncDisposableStack();
    await body(async () => opened.use(await gpu.backend()).backend);
  },
};

/** All, the wasm backend on two threads; webgpu where there is an adapter. */
export const testedBackends: readonly TestedBackend[] = [
  ...(withAdapter("webgpu computes models") ? [webgpu] : []),
  {
    name: "reference",
    with: (body) => closing(body, () => Promise.resolve(createReferenceBackend())),
  },
  {
    name: "wasm",
    with: async (body) => {
      const threads = await createWasmThreads(2);
      try {
        await closing(body, () => createWasmBackend({ threads }));
      } finally {
        threads.close();
      }
    },
  },
];

async function closing(
  body: (create: () => Promise<Backend>) => Promise<void>,
  create: () => Promise<Backend>,
): Promise<void> {
  const made: Backend[] = [];
  try {
    await body(async () => {
      made.push(await create());
      return made.at(-1)!;
    });
  } finally {
    for (const backend of made) backend.close();
  }
}
