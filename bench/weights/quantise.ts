/** Numbers in a block of Q8_0. */
export const blockElements = 32;

/** Bytes of a block of Q8_0: its scale in F16, then one signed byte a number. */
export const blockBytes = 2 + blockElements;

/**
 * Quantises F16 numbers to Q8_0, whole blocks of them: the scale of a block is its largest magnitude
 * divided by 127, numbers go to the nearest step. One call for a piece at a time will do.
 */
export class Quantiser {
  readonly #values = everyF16();
  readonly #scale = new Float16Array(1);
  readonly #scaleBytes = new Uint8Array(this.#scale.buffer);
  readonly #block = new Float32Array(blockElements);

  quantise(f16: Uint8Array): Uint8Array {
    const bits = new Uint16Array(f16.buffer, f16.byteOffset, f16.length / 2);
    const out = new Uint8Array(bits.length / blockElements * blockBytes);
    for (let from = 0, to = 0; from < bits.length; from += blockElements, to += blockBytes) {
      this.#quantiseBlock(bits, from, out, to);
    }
    return out;
  }

  #quantiseBlock(bits: Uint16Array, from: number, out: Uint8Array, to: number): void {
    const [block, values] = [this.#block, this.#values];
    let largest = 0;
    for (let i = 0; i < blockElements; i++) {
      const value = block[i] = values[bits[from + i]!]!;
      largest = Math.max(largest, Math.abs(value));
    }
    this.#scale[0] = largest / 127;
    out.set(this.#scaleBytes, to);
    const inverse = largest === 0 ? 0 : 127 / largest;
    for (let i = 0; i < blockElements; i++) {
      out[to + 2 + i] = Math.round(block[i]! * inverse);
    }
  }
}

/** A lookup is several times faster than converting. */
function everyF16(): Float32Array {
  const bits = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i);
  return Float32Array.from(new Float16Array(bits.buffer));
}
