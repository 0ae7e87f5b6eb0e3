/** Fewer dispatches: each waits for the one before it, which costs as much as some kernels take. */
import type { Counts } from "../backend.ts";
import type { Dispatch, Grid, Norm } from "./dispatch.ts";

/**
 * Lets the readers of norms compute them, where they can. A norm is then only dispatched in runs where another
 * reader has something to do. One that nothing overwrites later may be read after the run, and stays.
 */
export function fuseNorms(dispatches: readonly Dispatch[]): Dispatch[] {
  const fused = [...dispatches];
  dispatches.forEach((dispatch, i) => {
    const { norm } = dispatch;
    const readers = norm && readersOf(norm, dispatches, i + 1);
    if (!readers) return;
    const others: Dispatch[] = [];
    for (const reader of readers) {
      const normed = dispatches[reader]!.normed?.(norm);
      if (normed) fused[reader] = normed;
      else others.push(dispatches[reader]!);
    }
    fused[i] = {
      ...dispatch,
      grid: (counts, into) => {
        if (others.some((other) => isLive(other, counts, into))) dispatch.grid(counts, into);
        else into.fill(0);
      },
    };
  });
  return fused;
}

/** Indices of the dispatches that read a norm; nothing unless all see its input unchanged, and it is overwritten. */
function readersOf(
  { out, x }: Norm,
  dispatches: readonly Dispatch[],
  start: number,
): number[] | undefined {
  const readers: number[] = [];
  let isChanged = false;
  for (let i = start; i < dispatches.length; i++) {
    const { bindings, norm } = dispatches[i]!;
    if (norm?.out === out) return readers;
    const uses = (buffer: GPUBuffer, access: "read" | "write") =>
      bindings.some((binding) => binding.buffer === buffer && binding.access === access);
    if (uses(out, "write") || isChanged && uses(out, "read")) return undefined;
    if (uses(out, "read")) readers.push(i);
    isChanged ||= uses(x, "write");
  }
  return undefined;
}

function isLive({ grid }: Dispatch, counts: Counts, scratch: Grid): boolean {
  grid(counts, scratch);
  return scratch.every((groups) => groups > 0);
}
