import { z } from "zod";
import { FormatError } from "./errors.ts";
import { quote } from "../quote.ts";
import { invalidValue } from "./json_file.ts";
import { DTYPE_BITS, type StoredDType, type TensorInfo } from "./weight_source.ts";

/** The longest header accepted, in bytes: the format's own limit. */
export const MAX_HEADER_BYTES = 100_000_000;

/** A tensor and where it begins, in bytes after the header. */
export interface TensorLocation extends TensorInfo {
  /** First byte, counted from the end of the header. */
  readonly begin: number;
}

const entrySchema = z.strictObject({
  dtype: z.enum(Object.keys(DTYPE_BITS) as (keyof typeof DTYPE_BITS)[]),
  shape: z.array(z.int().nonnegative()).max(64),
  data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
});
const metadataSchema = z.record(z.string(), z.string());

/**
 * Parses the JSON header of a safetensors file. `dataLength` is the number of bytes that follow it: the
 * tensors must cover them exactly, without overlap or hole. Throws `InvalidHeader`, or `Truncated` when
 * tensors lie beyond the data; `file` is for messages.
 */
export function parseSafetensorsHeader(
  header: Uint8Array,
  dataLength: number,
  file: string,
): Map<string, TensorLocation> {
  const tensors = new Map<string, TensorLocation>();
  for (const [name, entry] of Object.entries(parseObject(header, file))) {
    if (name === "__metadata__") checkMetadata(entry, file);
    else tensors.set(name, parseEntry(name, entry, file));
  }
  checkCoverage(tensors, dataLength, file);
  return tensors;
}

function parseObject(header: Uint8Array, file: string): Record<string, unknown> {
  if (header[0] !== 0x7b) throw invalid(file, "it does not begin with {");
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(header));
  } catch {
    throw invalid(file, "it is not JSON in UTF-8");
  }
}

function checkMetadata(entry: unknown, file: string): void {
  const metadata = metadataSchema.safeParse(entry);
  if (!metadata.success) throw invalid(file, `__metadata__ ${invalidValue(metadata.error, entry)}`);
}

function parseEntry(name: string, entry: unknown, file: string): TensorLocation {
  const parsed = entrySchema.safeParse(entry);
  if (!parsed.success) {
    throw invalid(file, `tensor ${quote(name)} ${invalidValue(parsed.error, entry)}`);
  }
  const { dtype, shape, data_offsets: [begin, end] } = parsed.data;
  const byteLength = shape.reduce((product, size) => product * size, 1) * DTYPE_BITS[dtype] / 8;
  if (!Number.isSafeInteger(byteLength) || byteLength !== end - begin) {
    const held = `${quote(shape)} of ${dtype} does not fill bytes ${begin} to ${end}`;
    throw invalid(file, `tensor ${quote(name)} ${held}`);
  }
  return { dtype: dtype.toLowerCase() as StoredDType, shape, byteLength, begin };
}

function checkCoverage(
  tensors: ReadonlyMap<string, TensorLocation>,
  dataLength: number,
  file: string,
): void {
  const ordered = [...tensors].sort(([, a], [, b]) =>
    a.begin - b.begin || a.byteLength - b.byteLength
  );
  let covered = 0;
  for (const [name, { begin, byteLength }] of ordered) {
    if (begin !== covered) {
      const fault = begin < covered ? "overlaps another" : "leaves a hole before it";
      throw invalid(file, `tensor ${quote(name)} ${fault} at byte ${begin}`);
    }
    covered += byteLength;
  }
  if (covered > dataLength) {
    const missing = `${covered - dataLength} of ${covered} bytes of tensors are missing`;
    throw new FormatError("Truncated", `Cannot read half-copied file ${file}: ${missing}`);
  }
  if (covered < dataLength) throw invalid(file, `${dataLength - covered} bytes follow the tensors`);
}

function invalid(file: string, fault: string): FormatError {
  return new FormatError("InvalidHeader", `Cannot read safetensors header of ${file}: ${fault}`);
}
