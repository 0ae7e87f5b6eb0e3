import { KernelError } from "../kernels/mod.ts";
import { reject } from "../runtime/mod.ts";

/** Awaits work of the kernels; what they find invalid refuses the message in hand instead of crashing the actor. */
export async function refusing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof KernelError && error.code === "InvalidArgument") reject(error.message);
    throw error;
  }
}
