import { KernelError } from "../../errors.ts";
import type { Dispatch, PlanContext } from "../dispatch.ts";

/** Placeholder of the host's skeleton. */
export function planSample(_context: PlanContext, ..._rest: readonly unknown[]): Dispatch[] {
  throw new KernelError("Unsupported", "Cannot record on webgpu: sample");
}
