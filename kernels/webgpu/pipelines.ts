/** Compute pipelines and bind group layouts, made when first asked for and cached by key. */
import { KernelError } from "../errors.ts";
import type { Binding, Dispatch } from "./dispatch.ts";
import type { Faults } from "./faults.ts";
import { type Dialect, preprocess } from "./preprocessor.ts";

/** A pipeline and the layout of its only bind group. */
export interface Compiled {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** The pipelines of one device. */
export class Pipelines {
  readonly #device: GPUDevice;
  readonly #faults: Faults;
  readonly #sources: ReadonlyMap<string, string>;
  readonly #dialect: Dialect;
  readonly #compiled = new Map<string, Compiled>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();

  constructor(
    device: GPUDevice,
    faults: Faults,
    sources: ReadonlyMap<string, string>,
    dialect: Dialect,
  ) {
    this.#device = device;
    this.#faults = faults;
    this.#sources = sources;
    this.#dialect = dialect;
  }

  /** The pipeline of a dispatch. A kernel that does not compile is an error of the next run. */
  get(dispatch: Pick<Dispatch, "kernel" | "defines" | "bindings">): Compiled {
    const { kernel, defines, bindings } = dispatch;
    const accesses = bindings.map(({ access }) => access[0]).join("");
    const constants = Object.entries(defines).map(([name, value]) => `${name}=${value}`).sort();
    const key = [kernel, accesses, ...constants].join(" ");
    const known = this.#compiled.get(key);
    if (known) return known;
    const compiled = this.#compile(key, dispatch, this.#layout(accesses, bindings));
    this.#compiled.set(key, compiled);
    return compiled;
  }

  #compile(
    label: string,
    { kernel, defines }: Pick<Dispatch, "kernel" | "defines">,
    layout: GPUBindGroupLayout,
  ): Compiled {
    const code = preprocess(this.#sources, kernel, defines, this.#dialect);
    const device = this.#device;
    return this.#faults.guard(`compile ${label}`, () => ({
      layout,
      pipeline: device.createComputePipeline({
        label,
        layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module: device.createShaderModule({ code }), entryPoint: "main" },
      }),
    }));
  }

  #layout(accesses: string, bindings: readonly Binding[]): GPUBindGroupLayout {
    const known = this.#layouts.get(accesses);
    if (known) return known;
    const most = this.#device.limits.maxStorageBuffersPerShaderStage;
    if (bindings.length > most) {
      throw new KernelError(
        "Unsupported",
        `Cannot bind more than ${most} buffers: ${bindings.length}`,
      );
    }
    const entry = (binding: number, type: GPUBufferBindingType) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type },
    });
    const layout = this.#device.createBindGroupLayout({
      label: accesses,
      entries: [
        entry(0, "uniform"),
        ...bindings.map(({ access }, i) =>
          entry(i + 1, access === "read" ? "read-only-storage" : "storage")
        ),
      ],
    });
    this.#layouts.set(accesses, layout);
    return layout;
  }
}
