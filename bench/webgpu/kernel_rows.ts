/** What the kernels of one step cost, by operation. */
import type { DispatchProfile, GpuSpeed } from "../../kernels/mod.ts";

/** All dispatches of one operation in a step. */
export interface KernelRow {
  readonly operation: string;
  readonly kernel: string;
  readonly dispatches: number;
  readonly us: number;
  readonly gb_s: number;
  readonly gflop_s: number;
  /** Of what the adapter copies. */
  readonly copy_fraction: number;
  /** Of what the adapter multiplies and adds in float32. */
  readonly peak_fraction: number;
}

/** Sums profiles by operation and kernel, the longest first. */
export function kernelRows(profiles: readonly DispatchProfile[], speed: GpuSpeed): KernelRow[] {
  return byOperation(profiles).map(([operation, group]) => {
    const total = (of: (profile: DispatchProfile) => number) =>
      group.reduce((sum, profile) => sum + of(profile), 0);
    const seconds = Math.max(total((p) => p.nanoseconds), 1) / 1e9;
    const [bytes, flops] = [total((p) => p.bytes), total((p) => p.flops)];
    return {
      operation,
      kernel: group[0]!.kernel,
      dispatches: group.length,
      us: rounded(seconds * 1e6),
      gb_s: rounded(bytes / seconds / 1e9),
      gflop_s: rounded(flops / seconds / 1e9),
      copy_fraction: rounded(bytes / seconds / speed.copyBytesPerSecond, 3),
      peak_fraction: rounded(flops / seconds / speed.flopsPerSecond, 3),
    };
  }).sort((a, b) => b.us - a.us);
}

/** Dispatches of one layer: those of each operation that there are for every layer. */
export function dispatchesPerLayer(profiles: readonly DispatchProfile[], layers: number): number {
  return byOperation(profiles)
    .reduce((sum, [, { length }]) => sum + Math.floor(length / layers), 0);
}

/** Groups dispatches whose labels differ in numbers only, such as those of layers. */
function byOperation(profiles: readonly DispatchProfile[]): [string, DispatchProfile[]][] {
  const groups = Map.groupBy(
    profiles,
    ({ label, kernel }) => `${label.replaceAll(/\d+/g, "*")}, ${kernel}`,
  );
  return [...groups];
}

/** To so many digits behind the point. */
export function rounded(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}
