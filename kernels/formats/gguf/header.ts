import { FormatError } from "../errors.ts";
import { quote } from "../../quote.ts";
import { ByteReader, type ByteSource } from "./byte_reader.ts";
import { type GgmlDType, ggmlType } from "./ggml_types.ts";
import { type GgufValue, MetadataReader } from "./metadata_reader.ts";

const MAGIC = 0x46554747;
const MAX_KEYS = 1 << 16;
const MAX_TENSORS = 1 << 17;
const MAX_NAME_BYTES = 1024;
const MAX_DIMENSIONS = 4;
const DEFAULT_ALIGNMENT = 32;
const MAX_ALIGNMENT = 1 << 20;

/** A tensor of a GGUF file. */
export interface GgufTensor {
  /** How elements are stored. */
  readonly dtype: GgmlDType;
  /** Sizes of the dimensions in elements, outermost first. */
  readonly shape: readonly number[];
  /** Bytes of the whole tensor. */
  readonly byteLength: number;
  /** First byte, counted from the start of the file. */
  readonly begin: number;
}

/** What stands before the tensors of a GGUF file. */
export interface GgufHeader {
  /** Version of the format: 2 or 3. */
  readonly version: number;
  /** Keys and values, in file order. */
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** Tensors by name, in file order. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** Where the data of tensors begins, in bytes. */
  readonly dataStart: number;
}

/**
 * Parses the header of a little-endian GGUF file of version 2 or 3 and checks it before anything is sized by
 * it: tensors lie aligned within the file and do not overlap. Throws {@link FormatError} `InvalidHeader`,
 * `Truncated`, or `Unsupported` for other versions and unknown tensor types.
 */
export function parseGgufHeader(source: ByteSource): GgufHeader {
  const reader = new ByteReader(source);
  const version = readVersion(reader, source.name);
  const tensorCount = reader.size("count of tensors", MAX_TENSORS);
  const keyCount = reader.size("count of metadata keys", MAX_KEYS);
  const metadata = new MetadataReader(reader).read(keyCount);
  const alignment = alignmentOf(metadata, reader);
  const tensors = new Map<string, GgufTensor>();
  for (let i = 0; i < tensorCount; i++) {
    const name = reader.string("tensor name", MAX_NAME_BYTES);
    if (tensors.has(name)) throw reader.invalid(`tensor twice: ${quote(name)}`);
    tensors.set(name, readTensor(reader, name, alignment, source.name));
  }
  const dataStart = Math.ceil(reader.position / alignment) * alignment;
  const placed = new Map(
    [...tensors].map(([name, tensor]) => [name, { ...tensor, begin: dataStart + tensor.begin }]),
  );
  checkPlaces(placed, source, reader);
  return { version, metadata, tensors: placed, dataStart };
}

// The library of the field, @huggingface/gguf, reads asynchronously where every reader here is synchronous,
// keeps at most 50 MB, begins a value anew with each chunk, and checks neither offsets nor overlaps nor types
// of tensors; what it leaves to check is this file.
function readVersion(reader: ByteReader, file: string): number {
  if (reader.u32() !== MAGIC) throw reader.invalid("it does not begin with GGUF");
  const version = reader.u32();
  if (version === 2 || version === 3) return version;
  const found = (version & 0xffff) === 0 && version !== 0 ? "big-endian" : `version ${version}`;
  throw new FormatError(
    "Unsupported",
    `Cannot read GGUF file ${file} other than little-endian version 2 or 3: ${found}`,
  );
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>, reader: ByteReader): number {
  const value = metadata.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  const isPower = typeof value === "number" && value >= 1 && value <= MAX_ALIGNMENT &&
    Number.isInteger(Math.log2(value));
  if (isPower) return value;
  throw reader.invalid(`general.alignment is not a power of two: ${quote(value)}`);
}

function readTensor(reader: ByteReader, name: string, alignment: number, file: string): GgufTensor {
  const count = reader.u32();
  if (count < 1 || count > MAX_DIMENSIONS) {
    throw reader.invalid(`tensor ${quote(name)} has ${count} dimensions`);
  }
  const dimensions = Array.from(
    { length: count },
    () => reader.size(`dimension of ${quote(name)}`, Number.MAX_SAFE_INTEGER),
  );
  const id = reader.u32();
  const begin = reader.size(`offset of ${quote(name)}`, Number.MAX_SAFE_INTEGER);
  const type = ggmlType(id);
  if (type === undefined) {
    const tensor = `of tensor ${quote(name)} in ${file}`;
    throw new FormatError("Unsupported", `Cannot read unknown ggml type ${tensor}: ${id}`);
  }
  const elements = dimensions.reduce((product, size) => product * size, 1);
  const byteLength = elements / type.elements * type.bytes;
  if (elements === 0 || dimensions[0]! % type.elements !== 0 || !Number.isSafeInteger(byteLength)) {
    throw reader.invalid(`tensor ${quote(name)} of ${type.dtype} has shape ${quote(dimensions)}`);
  }
  if (begin % alignment !== 0) {
    throw reader.invalid(`tensor ${quote(name)} is not aligned to ${alignment}: byte ${begin}`);
  }
  return { dtype: type.dtype, shape: dimensions.reverse(), byteLength, begin };
}

function checkPlaces(
  tensors: ReadonlyMap<string, GgufTensor>,
  { name: file, size }: ByteSource,
  reader: ByteReader,
): void {
  let end = 0;
  for (const [name, tensor] of [...tensors].sort(([, a], [, b]) => a.begin - b.begin)) {
    if (tensor.begin < end) {
      throw reader.invalid(`tensor ${quote(name)} overlaps another at byte ${tensor.begin}`);
    }
    end = tensor.begin + tensor.byteLength;
    if (end > size) {
      const place = `tensor ${quote(name)} ends at byte ${end} of ${size}`;
      throw new FormatError("Truncated", `Cannot read half-copied file ${file}: ${place}`);
    }
  }
}
