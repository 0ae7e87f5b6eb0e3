/** A recorded program: pipelines and bind groups, ready to be encoded. */
import type { Counts, Program } from "../backend.ts";
import type { Dispatch, Grid } from "./dispatch.ts";
import type { Pipelines } from "./pipelines.ts";
import type { DeviceTensor } from "./tensor.ts";

/** A dispatch with what it binds, and its workgroups in the last run. */
interface Step {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly dispatch: Dispatch;
  readonly grid: Grid;
}

/** The commands of one run. */
export interface Encoded {
  readonly commands: GPUCommandBuffer;
  readonly dispatches: number;
  /** Where it copies outputs to. */
  readonly staging: GPUBuffer | undefined;
  /** How many bytes of them. */
  readonly bytes: number;
}

/** A dispatch with something to do in a run. */
export interface LiveDispatch {
  readonly dispatch: Dispatch;
  readonly encode: (pass: GPUComputePassEncoder) => void;
}

/** A tensor whose live rows the host reads after each run, and where the last run left them. */
export interface Output {
  readonly tensor: DeviceTensor;
  /** Its rows that were live in the last run. */
  live: number;
  /** First byte among all outputs of the run. */
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
  readonly #device: GPUDevice;
  #ready: Encoded | undefined;
  #isRepeated = false;

  constructor(
    { label, length, capacity, dispatches, weights = [], outputs = [] }: ProgramParts,
    readonly owner: object,
    { device, pipelines }: { readonly device: GPUDevice; readonly pipelines: Pipelines },
    uniform: GPUBuffer,
  ) {
    this.label = label;
    this.length = length;
    this.capacity = capacity;
    this.outputs = outputs.map((tensor) => ({ tensor, live: 0, offset: 0, bytes: 0 }));
    this.outputBytes = outputs.reduce((sum, { byteLength }) => sum + byteLength, 0);
    this.unarranged = [...weights];
    this.#device = device;
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
      return { pipeline, group, dispatch, grid: new Uint32Array(3) };
    });
  }

  /**
   * The commands of a run, with copies of its outputs to `staging` from byte `at` on; those made by {@link prepare}
   * if they fit. Allocates nothing for a dispatch.
   */
  encode(counts: Counts, staging?: GPUBuffer, at = 0): Encoded {
    this.#isRepeated = this.#layOut(counts);
    const fits = this.#isRepeated && this.#ready?.staging === staging && at === 0;
    const ready = fits ? this.#ready : undefined;
    this.#ready = undefined;
    return ready ?? this.#encode(staging, at);
  }

  /**
   * Encodes the next run while the device computes this one, if it is like the one before it, as decodes are. What
   * differs between such runs lies in buffers.
   */
  prepare(staging?: GPUBuffer): void {
    if (this.#isRepeated) this.#ready = this.#encode(staging, 0);
  }

  /** The dispatches that have something to do, each with a way to encode it alone. */
  live(counts: Counts): LiveDispatch[] {
    this.#layOut(counts);
    return this.#steps.filter(isLive).map((step) => ({
      dispatch: step.dispatch,
      encode: (pass) => {
        pass.setPipeline(step.pipeline);
        dispatch(pass, step);
      },
    }));
  }

  /** Where the last run left the first bytes of a tensor; undefined when it did not bring so many. */
  held(tensor: DeviceTensor, bytes: number): Output | undefined {
    return this.outputs.find((output) => output.tensor === tensor && output.bytes >= bytes);
  }

  /** Says that a tensor was written since the last run. */
  forget(tensor: DeviceTensor): void {
    for (const output of this.outputs) if (output.tensor === tensor) output.bytes = 0;
  }

  /** Sets the grids and the places of outputs for a run; whether all are those of the last run. */
  #layOut(counts: Counts): boolean {
    let isSame = true;
    for (const { dispatch, grid } of this.#steps) {
      const x = grid[0], y = grid[1], z = grid[2];
      dispatch.grid(counts, grid);
      isSame &&= grid[0] === x && grid[1] === y && grid[2] === z;
    }
    let offset = 0;
    for (const output of this.outputs) {
      const { tensor, live } = output;
      output.live = tensor.rows ? counts[tensor.rows] : tensor.shape[0]!;
      isSame &&= live === output.live;
      output.offset = offset;
      output.bytes = output.live * tensor.width * 4;
      offset += output.bytes;
    }
    return isSame;
  }

  #encode(staging: GPUBuffer | undefined, at: number): Encoded {
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    let dispatches = 0;
    let current: GPUComputePipeline | undefined;
    for (const step of this.#steps) {
      if (!isLive(step)) continue;
      if (step.pipeline !== current) pass.setPipeline(current = step.pipeline);
      dispatch(pass, step);
      dispatches++;
    }
    pass.end();
    const bytes = staging ? this.#copyOutputs(encoder, staging, at) : 0;
    return { commands: encoder.finish(), dispatches, staging, bytes };
  }

  #copyOutputs(encoder: GPUCommandEncoder, staging: GPUBuffer, at: number): number {
    let bytes = 0;
    for (const { tensor, live, offset } of this.outputs) {
      const length = live * tensor.width * 4;
      if (length === 0) continue;
      encoder.copyBufferToBuffer(tensor.shards[0]!.buffer, 0, staging, at + offset, length);
      bytes += length;
    }
    return bytes;
  }
}

function isLive({ grid }: Step): boolean {
  return grid[0]! > 0 && grid[1]! > 0 && grid[2]! > 0;
}

function dispatch(pass: GPUComputePassEncoder, { group, grid }: Step): void {
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(grid[0]!, grid[1], grid[2]);
}
