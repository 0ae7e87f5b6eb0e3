/** Fewer dispatches: each waits for the one before it, which costs as much as some kernels take. */
import type { Counts } from "../backend.ts";
import type { Dispatch, Grid, Norm, Rotation } from "./dispatch.ts";

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
    // Where one of them could but would not, the norm is needed, and may as well serve all.
    const refuses = readers.some((r) => dispatches[r]!.normed && !dispatches[r]!.normed!(norm));
    if (refuses) return;
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

/**
 * Lets attention rotate and append the rows of runs in which no token sees another: a rotation is then not
 * dispatched, if everything that reads its rows can do without.
 */
export function fuseRotations(dispatches: readonly Dispatch[]): Dispatch[] {
  const fused: (readonly Dispatch[])[] = dispatches.map((dispatch) => [dispatch]);
  dispatches.forEach((dispatch, i) => {
    const { rotation } = dispatch;
    const readers = rotation && rotatedReaders(rotation, dispatches, i + 1);
    if (!readers) return;
    fused[i] = [unless(isDistinct, dispatch)];
    for (const [reader, rotated] of readers) {
      const others = unless(isDistinct, dispatches[reader]!);
      fused[reader] = [others, unless((counts) => !isDistinct(counts), rotated)];
    }
  });
  return fused.flat();
}

/** What reads the rows of a rotation, and what does its work in runs of distinct tokens; nothing unless all can. */
function rotatedReaders(
  rotation: Rotation,
  dispatches: readonly Dispatch[],
  start: number,
): Map<number, Dispatch> | undefined {
  const readers = new Map<number, Dispatch>();
  for (let i = start; i < dispatches.length; i++) {
    const { bindings, rotated } = dispatches[i]!;
    const binding = bindings.find(({ buffer }) => buffer === rotation.qkv);
    if (binding?.access === "write") break;
    if (!binding || rotated === "idle") continue;
    const reader = rotated?.(rotation);
    if (!reader) return undefined;
    readers.set(i, reader);
  }
  return readers;
}

function isDistinct({ distinct }: Counts): boolean {
  return distinct === true;
}

/** A dispatch that does nothing in some runs. */
function unless(isIdle: (counts: Counts) => boolean, dispatch: Dispatch): Dispatch {
  return {
    ...dispatch,
    grid: (counts, into) => {
      if (isIdle(counts)) into.fill(0);
      else dispatch.grid(counts, into);
    },
    cost: (counts) => isIdle(counts) ? { bytes: 0, flops: 0 } : dispatch.cost(counts),
  };
}
