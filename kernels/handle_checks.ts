/** What backends ask of handles, values and counts. Each throws `InvalidArgument`. */
import type { Counts, Program, Rows, Tensor } from "./backend.ts";
import { KernelError } from "./errors.ts";

/** A handle as the backend that made it knows it. */
export function own<T extends { readonly owner: object }>(
  handle: object,
  owner: object,
  // deno-lint-ignore no-explicit-any -- any constructor of T will do
  type: new (...args: any[]) => T,
): T {
  if (handle instanceof type && handle.owner === owner) return handle;
  throw new KernelError("InvalidArgument", `Cannot use a handle of another backend: ${handle}`);
}

/** Live rows of a run that the program's tensors have room for. */
export function checkCounts(
  program: Program & { readonly capacity: Counts },
  counts: Counts,
): void {
  checkCount(program, "tokens", counts.tokens);
  checkCount(program, "samples", counts.samples);
}

function checkCount(
  { label, capacity }: Program & { readonly capacity: Counts },
  rows: Rows,
  count: number,
): void {
  if (Number.isInteger(count) && count >= 0 && count <= capacity[rows]) return;
  throw new KernelError(
    "InvalidArgument",
    `Cannot run ${label} with ${rows}, capacity ${capacity[rows]}: ${count}`,
  );
}

/** Host values of the tensor's dtype. */
export function checkValues(
  action: string,
  tensor: Tensor,
  values: Float32Array | Int32Array,
): void {
  if (tensor.dtype === (values instanceof Float32Array ? "f32" : "i32")) return;
  throw new KernelError(
    "InvalidArgument",
    `Cannot ${action} ${tensor.label} of ${tensor.dtype}: ${values.constructor.name}`,
  );
}

/** A range within a tensor of `limit` elements or bytes. */
export function checkRange(
  action: string,
  tensor: Tensor,
  offset: number,
  length: number,
  limit: number,
): void {
  const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
  if (valid && offset >= 0 && length >= 0 && offset + length <= limit) return;
  throw new KernelError(
    "InvalidArgument",
    `Cannot ${action} ${tensor.label} beyond ${limit}: ${offset} + ${length}`,
  );
}
