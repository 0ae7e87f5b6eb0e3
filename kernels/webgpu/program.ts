/** A recorded program: pipelines and bind groups, ready to be encoded. */
import type { Counts, Program } from "../backend.ts";
import type { Dispatch, Grid } from "./dispatch.ts";
import type { Pipelines } from "./pipelines.ts";
import type { DeviceTensor } from "./tensor.ts";

/** A dispatch with what it binds. */
interface Step {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly dispatch: Dispatch;
}

/** A dispatch with something to do in a run. */
export interface LiveDispatch {
  readonly dispatch: Dispatch;
  readonly encode: (pass: GPUComputePassEncoder) => void;
}

/** A tensor whose live rows the host reads after each run, and where the last run left them. */
export interface Output {
  readonly tensor: DeviceTensor;
  /** First byte in the staging buffer. */
  offset: number;
  /** Bytes there; 0 = not up to date. */
  bytes: number;
}

/** What a program is made of. */
export interface ProgramParts {
  readonly label: string;
  readonly length: number;
  readonly capacity: Counts;
  readonly dispatches: readonly Dispatch[];
  /** Tensors that it reads as weights. */
  readonly weights?: Iterable<DeviceTensor>;
  readonly outputs?: readonly DeviceTensor[];
}

/** A program of one backend. */
export class DeviceProgram implements Program {
  readonly label: string;
  readonly length: number;
  readonly capacity: Counts;
  readonly outputs: readonly Output[];
  /** Bytes of all outputs at their capacity. */
  readonly outputBytes: number;
  /** Weights that the first run has to arrange. */
  unarranged: readonly DeviceTensor[];
  readonly #steps: readonly Step[];
  readonly #grid: Grid = new Uint32Array(3);

  constructor(
    { label, length, capacity, dispatches, weights = [], outputs = [] }: ProgramParts,
    readonly owner: object,
    { device, pipelines }: { readonly device: GPUDevice; readonly pipelines: Pipelines },
    uniform: GPUBuffer,
  ) {
    this.label = label;
    this.length = length;
    this.capacity = capacity;
    this.outputs = outputs.map((tensor) => ({ tensor, offset: 0, bytes: 0 }));
    this.outputBytes = outputs.reduce((sum, { byteLength }) => sum + byteLength, 0);
    this.unarranged = [...weights];
    this.#steps = dispatches.map((dispatch) => {
      const { pipeline, layout } = pipelines.get(dispatch);
      const group = device.createBindGroup({
        label: dispatch.label,
        layout,
        entries: [
          { binding: 0, resource: { buffer: uniform } },
          ...dispatch.bindings.map(({ buffer, offset = 0, size }, i) => ({
            binding: i + 1,
            resource: { buffer, offset, ...(size !== undefined && { size }) },
          })),
        ],
      });
      return { pipeline, group, dispatch };
    });
  }

  /** Encodes all dispatches that have something to do; how many. Allocates nothing. */
  encode(pass: GPUComputePassEncoder, counts: Counts): number {
    let encoded = 0;
    let current: GPUComputePipeline | undefined;
    for (const step of this.#steps) {
      if (!this.#isLive(step, counts)) continue;
      if (step.pipeline !== current) pass.setPipeline(current = step.pipeline);
      this.#dispatch(pass, step);
      encoded++;
    }
    return encoded;
  }

  /** The dispatches that have something to do, each with a way to encode it alone. */
  live(counts: Counts): LiveDispatch[] {
    return this.#steps.filter((step) => this.#isLive(step, counts)).map((step) => ({
      dispatch: step.dispatch,
      encode: (pass) => {
        step.dispatch.grid(counts, this.#grid);
        pass.setPipeline(step.pipeline);
        this.#dispatch(pass, step);
      },
    }));
  }

  /** Sets the grid of a dispatch; whether it has workgroups. */
  #isLive({ dispatch }: Step, counts: Counts): boolean {
    const grid = this.#grid;
    dispatch.grid(counts, grid);
    return grid[0]! > 0 && grid[1]! > 0 && grid[2]! > 0;
  }

  #dispatch(pass: GPUComputePassEncoder, { group }: Step): void {
    const grid = this.#grid;
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(grid[0]!, grid[1], grid[2]);
  }

  /** Copies the live rows of all outputs to `staging`; how many bytes. */
  copyOutputs(encoder: GPUCommandEncoder, staging: GPUBuffer, counts: Counts): number {
    let offset = 0;
    for (const output of this.outputs) {
      const { tensor } = output;
      const live = tensor.rows ? counts[tensor.rows] : tensor.shape[0]!;
      output.offset = offset;
      output.bytes = live * tensor.width * 4;
      if (output.bytes === 0) continue;
      encoder.copyBufferToBuffer(tensor.shards[0]!.buffer, 0, staging, offset, output.bytes);
      offset += output.bytes;
    }
    return offset;
  }

  /** Where the last run left the first bytes of a tensor; undefined when it did not bring so many. */
  held(tensor: DeviceTensor, bytes: number): Output | undefined {
    return this.outputs.find((output) => output.tensor === tensor && output.bytes >= bytes);
  }

  /** Says that a tensor was written since the last run. */
  forget(tensor: DeviceTensor): void {
    for (const output of this.outputs) if (output.tensor === tensor) output.bytes = 0;
  }
}
