import { contentHash } from "../content_hash.ts";
import { FormatError } from "../errors.ts";
import { quote } from "../../quote.ts";
import { readExactly } from "../file_range.ts";
import type { TensorInfo, WeightSource } from "../weight_source.ts";
import type { TensorView } from "./names.ts";
import { closeParts, type GgufPart } from "./parts.ts";

/** The tensors of a GGUF model under Hugging Face names, open until closed. */
export class GgufWeights implements WeightSource {
  readonly #parts: readonly GgufPart[];
  readonly #views: ReadonlyMap<string, TensorView>;
  #open = true;

  constructor(parts: readonly GgufPart[], views: ReadonlyMap<string, TensorView>) {
    this.#parts = parts;
    this.#views = views;
  }

  names(): readonly string[] {
    return [...this.#views.keys()];
  }

  info(name: string): TensorInfo | undefined {
    const view = this.#views.get(name);
    return view && { dtype: view.dtype, shape: view.shape, byteLength: view.byteLength };
  }

  read(name: string, byteOffset: number, into: Uint8Array): void {
    const view = this.#views.get(name);
    if (!this.#open) throw new FormatError("Closed", `Cannot read closed checkpoint: ${name}`);
    if (view === undefined) {
      throw new FormatError("NotFound", `Cannot find tensor in checkpoint: ${quote(name)}`);
    }
    const end = byteOffset + into.byteLength;
    if (!Number.isSafeInteger(byteOffset) || byteOffset < 0 || end > view.byteLength) {
      const asked = `${byteOffset} to ${end} of ${view.byteLength}`;
      throw new FormatError("OutOfRange", `Cannot read bytes of ${quote(name)}: ${asked}`);
    }
    const { file, path } = this.#parts[view.part]!;
    const readAt = (offset: number, bytes: Uint8Array) =>
      readExactly(file, path, view.begin + offset, bytes);
    const { interleavedHeads: heads } = view;
    if (heads === undefined) readAt(byteOffset, into);
    else readHalfSplit(view, heads, byteOffset, into, readAt);
  }

  hash(): Promise<string> {
    return contentHash(
      this.#parts.map(({ path, header }) => ({ path, headerBytes: header.dataStart })),
    );
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeParts(this.#parts);
  }
}

/**
 * Reads rows of interleaved rotary pairs as half-split ones, head by head: row `2 * i + half` of a head is
 * row `half * width + i` for Hugging Face.
 */
function readHalfSplit(
  { shape, byteLength }: TensorView,
  heads: number,
  from: number,
  into: Uint8Array,
  readAt: (offset: number, bytes: Uint8Array) => void,
): void {
  const rowBytes = byteLength / shape[0]!;
  const width = shape[0]! / heads / 2;
  const headBytes = 2 * width * rowBytes;
  const head = new Uint8Array(headBytes);
  const to = from + into.length;
  for (let start = from - from % headBytes; start < to; start += headBytes) {
    readAt(start, head);
    for (let row = 0; row < 2 * width; row++) {
      const source = (2 * (row % width) + Math.floor(row / width)) * rowBytes;
      const target = start + row * rowBytes;
      const first = Math.max(from, target);
      const end = Math.min(to, target + rowBytes);
      if (first >= end) continue;
      into.set(head.subarray(source + first - target, source + end - target), first - from);
    }
  }
}
