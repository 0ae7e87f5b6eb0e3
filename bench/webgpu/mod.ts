import { type Gpu, type GpuSpeed, measureGpu, openGpu } from "../../kernels/mod.ts";
import type { Bench, BenchOptions, BenchReport } from "../harness.ts";
import { checkModel } from "./check.ts";
import { rounded } from "./kernel_rows.ts";
import { measureModel, type StepRow } from "./measure.ts";
import { type GpuModel, models, tinyModels } from "./models.ts";
import { gpuBenchOptions, onSoftware } from "./options.ts";
import { measureUploads, type UploadRow } from "./uploads.ts";

/** How long uploads may go on when the time for models is over. */
const UPLOADS_MS = 10_000;

/** Decode and prefill of whole models on a GPU, and every kernel in them. */
export const bench: Bench = {
  name: "webgpu",
  description: "tokens/s, host time and dispatches a step, and what each kernel reaches of the GPU",
  run,
};

async function run(options: BenchOptions): Promise<BenchReport> {
  const chosen = gpuBenchOptions(options);
  const gpu = await openGpu({ provider: chosen.provider });
  const speed = await measureGpu(gpu);
  options.log(describe(gpu, speed));
  const end = performance.now() + chosen.seconds * 1000;
  const rows: StepRow[] = [];
  const report = (row: StepRow) => {
    rows.push(row);
    options.log(JSON.stringify(row));
  };
  const bench = {
    ...{ gpu, speed, report },
    options: gpu.info.software ? onSoftware(chosen) : chosen,
  };
  for (const model of chosen.models ?? (gpu.info.software ? tinyModels : models)) {
    if (performance.now() > end) break;
    options.log(`${model.shape.name} ${model.dtype}`);
    await checked(
      model,
      gpu,
      report,
      () => measureModel(model, bench),
    );
  }
  const uploads: UploadRow[] = [];
  for await (const row of measureUploads(gpu)) {
    options.log(describeUpload(row));
    uploads.push(row);
    if (performance.now() > end + UPLOADS_MS) break;
  }
  const { description } = gpu.info;
  await gpu.close();
  return {
    table: [header, ...rows.map(cells)],
    json: { ...summary(rows), adapter: description, speed, uploads, rows },
  };
}

/** Does `work` when a small model of the same kind computes what the CPU computes. */
async function checked(
  model: GpuModel,
  gpu: Gpu,
  report: (row: StepRow) => void,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await checkModel(gpu, model);
    await work();
  } catch (error) {
    const { shape: { name }, dtype } = model;
    report({ model: name, dtype, phase: "check", rows: 0, error: String(error) });
  }
}

/** The figures of the first decode of one sequence. */
function summary(rows: readonly StepRow[]): Readonly<Record<string, number | null>> {
  const row = rows.find(({ phase, rows, ms }) => phase === "decode" && rows === 1 && ms);
  return {
    submits_per_step: row?.submits ?? null,
    readbacks_per_step: row?.readbacks ?? null,
    dispatches_per_layer: row?.dispatches_per_layer ?? null,
    host_us_per_step: row?.host_us ?? null,
  };
}

function describe({ info, mapping, subgroups }: Gpu, speed: GpuSpeed): string {
  const { copyBytesPerSecond, readBytesPerSecond, flopsPerSecond, readbackMs } = speed;
  return `${info.description} (${info.provider}, ${mapping} maps, subgroups ${subgroups}): ` +
    `copies ${rounded(copyBytesPerSecond / 1e9)} GB/s, reads ${
      rounded(readBytesPerSecond / 1e9)
    } ` +
    `GB/s, ${rounded(flopsPerSecond / 1e9)} GFLOP/s, readback ${rounded(readbackMs, 3)} ms`;
}

function describeUpload(row: UploadRow): string {
  const { way, chunk_mib, gb_s, upload_ms, compute_ms, both_ms, overlap } = row;
  return `uploads by ${way} of ${chunk_mib} MiB: ${gb_s} GB/s; alone ${upload_ms} ms, compute ` +
    `${compute_ms} ms, both ${both_ms} ms: ${Math.round(100 * overlap)} % hidden`;
}

const columns = [
  ...[
    "model",
    "dtype",
    "phase",
    "rows",
    "rounds",
    "tokens_per_second",
    "ms",
    "host_us",
    "device_us",
  ],
  ...["dispatches", "dispatches_per_layer", "gb_s", "gflop_s", "copy_fraction", "peak_fraction"],
] as const;
const header = [
  ...["model", "dtype", "phase", "rows", "rounds", "tok/s", "ms", "host us", "device us"],
  ...["dispatches", "a layer", "GB/s", "GFLOP/s", "of copy", "of peak"],
];

function cells(row: StepRow): string[] {
  return [
    ...columns.map((column) => String(row[column as keyof StepRow] ?? "-")),
    ...(row.error === undefined ? [] : [row.error]),
  ];
}
