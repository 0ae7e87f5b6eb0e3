import {
  type Backend,
  type Device,
  type ModelSpec,
  openModel,
  parseModelSpec,
  type WeightSource,
} from "../kernels/mod.ts";

/** Something built from a model's weights on a backend of its own. */
export interface Loaded<T> {
  readonly backend: Backend;
  readonly value: T;
}

/** Builds from a model on a new backend of a device. The files are closed at the end, the backend on failure. */
export async function loadModel<T>(
  device: Device,
  { model, maxBytes }: { readonly model: string; readonly maxBytes: number },
  build: (backend: Backend, spec: ModelSpec, weights: WeightSource) => T,
): Promise<Loaded<T>> {
  const folder = openModel(model);
  try {
    const backend = await device.createBackend(maxBytes);
    try {
      return { backend, value: build(backend, parseModelSpec(folder.config), folder.weights) };
    } catch (error) {
      backend.close();
      throw error;
    }
  } finally {
    folder.close();
  }
}
