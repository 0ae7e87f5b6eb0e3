import { CodecError } from "./errors.ts";

const maxDepth = 64;

/** What a tag announces: bytes after it that are no values of their own, and values after those. */
interface Step {
  readonly skip: number;
  readonly values: number;
}

/**
 * Checks that bytes hold exactly `values` msgpack values, nested at most 64 deep, so that no length
 * in them can make a decoder allocate more than they are worth. Throws `CodecError`.
 */
export function scan(bytes: Uint8Array, values: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const pending = [values];
  let at = 0;
  while (pending.length > 0) {
    const left = pending.pop()!;
    if (left === 0) continue;
    if (at >= bytes.length) throw new CodecError("Malformed", `Header ends at byte: ${at}`);
    pending.push(left - 1);
    const { skip, values } = read(view, at);
    at += 1 + skip;
    if (values > bytes.length - at) throw new CodecError("Malformed", `Too many values: ${values}`);
    if (values > 0 && pending.push(values) > maxDepth) {
      throw new CodecError("TooDeep", `Header nests deeper than: ${maxDepth}`);
    }
  }
  if (at !== bytes.length) throw new CodecError("Malformed", `Header ends at byte: ${at}`);
}

function read(view: DataView, at: number): Step {
  const tag = view.getUint8(at);
  if (tag < 0x80 || tag >= 0xe0) return scalar(0);
  if (tag < 0x90) return { skip: 0, values: (tag & 15) * 2 };
  if (tag < 0xa0) return { skip: 0, values: tag & 15 };
  if (tag < 0xc0) return scalar(tag & 31);
  if (tag === 0xc1) throw new CodecError("Malformed", "Header has a tag that msgpack never uses");
  if (tag < 0xc4) return scalar(0);
  if (tag < 0xc7) return bytesAfter(view, at, tag - 0xc4, 0);
  if (tag < 0xca) return bytesAfter(view, at, tag - 0xc7, 1);
  if (tag < 0xcc) return scalar(tag === 0xca ? 4 : 8);
  if (tag < 0xd4) return scalar(1 << (tag & 3));
  if (tag < 0xd9) return scalar(1 + (1 << (tag - 0xd4)));
  if (tag < 0xdc) return bytesAfter(view, at, tag - 0xd9, 0);
  const log2 = tag & 1 ? 2 : 1;
  return { skip: 1 << log2, values: lengthAt(view, at, log2) * (tag < 0xde ? 1 : 2) };
}

function scalar(skip: number): Step {
  return { skip, values: 0 };
}

function bytesAfter(view: DataView, at: number, log2: number, extra: number): Step {
  return scalar((1 << log2) + extra + lengthAt(view, at, log2));
}

/** The length that follows a tag in 1, 2 or 4 bytes. */
function lengthAt(view: DataView, at: number, log2: number): number {
  if (at + 1 + (1 << log2) > view.byteLength) {
    throw new CodecError("Malformed", "Header is cut short");
  }
  if (log2 === 0) return view.getUint8(at + 1);
  return log2 === 1 ? view.getUint16(at + 1) : view.getUint32(at + 1);
}
