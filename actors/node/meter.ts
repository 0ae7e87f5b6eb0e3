/** Measures how fast a device is, for planners that divide layers among devices. */
import type { Backend, Device, GpuInfo, Tensor } from "../../kernels/mod.ts";
import { type AnyActorDefinition, defineActor } from "../../runtime/mod.ts";

/** What a GPU says of itself. */
export type DeviceDescription = Pick<GpuInfo, "description" | "software">;

/** A device's meter. */
export interface MeterProtocol {
  /** What a GPU says of itself; `null` for others. */
  describe(): DeviceDescription | null;
  /** Bytes of weights that the device multiplies a vector with in a second. */
  measure(): number;
}

/** Weights in turn, together too large for caches: decoding is bound by reading them from memory. */
const MATRICES = 12;

/** Rows and columns of each, in float32. */
const SIDE = 1024;

/** How long is measured at least, in milliseconds. */
const LEAST_MS = 60;

/** A kind of actor that measures `device`. */
export function defineMeter(device: Device): AnyActorDefinition {
  return defineActor<MeterProtocol, null>({
    kind: "meter",
    start: () => null,
    receive: {
      describe: () => device.gpu ?? null,
      async measure(_, _message, { clock }) {
        const bytes = MATRICES * SIDE * SIDE * 4;
        const backend = await device.createBackend(2 * bytes);
        try {
          return await speedOf(backend, bytes, () => clock.monotonic());
        } finally {
          backend.close();
        }
      },
    },
  });
}

async function speedOf(backend: Backend, bytes: number, now: () => number): Promise<number> {
  const [x, out] = [0, 1].map(() =>
    backend.tensor({ label: "row", dtype: "f32", shape: [1, SIDE] })
  );
  const weights = Array.from({ length: MATRICES }, (_, i) => matrix(backend, i));
  const program = backend.record("meter", (recorder) => {
    for (const weight of weights) recorder.linear(out!, x!, weight);
  });
  const counts = { tokens: 1, samples: 1 };
  await backend.run(program, counts);
  const started = now();
  let runs = 0;
  do {
    await backend.run(program, counts);
    runs++;
  } while (now() - started < LEAST_MS);
  return runs * bytes / (now() - started) * 1000;
}

function matrix(backend: Backend, index: number): Tensor {
  const shape = [SIDE, SIDE];
  const weight = backend.tensor({ label: `weights ${index}`, dtype: "f32", shape });
  backend.load(weight, 0, SIDE * SIDE * 4, (into) => into.fill(0));
  backend.seal(weight);
  return weight;
}
