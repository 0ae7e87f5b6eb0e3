import { FormatError } from "../errors.ts";
import { quote } from "../../quote.ts";
import { openWeightFile, readExactly } from "../file_range.ts";
import { isFile } from "../json_file.ts";
import { type GgufHeader, parseGgufHeader } from "./header.ts";

const PART_NAME = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;

/** One open file of a model. */
export interface GgufPart {
  /** Path of the file. */
  readonly path: string;
  /** The file, open. */
  readonly file: Deno.FsFile;
  /** Its header. */
  readonly header: GgufHeader;
}

/**
 * Opens a GGUF file, or all parts of the model that `NAME-00001-of-0000N.gguf` belongs to, first part first.
 * Throws {@link FormatError}; `NotFound` names a missing part, `Mismatch` parts that disagree.
 */
export function openParts(path: string): GgufPart[] {
  const parts: GgufPart[] = [];
  try {
    for (const name of partPaths(path)) parts.push(openPart(name));
    checkParts(parts, path);
    return parts;
  } catch (cause) {
    closeParts(parts);
    throw cause;
  }
}

/** Closes the files. */
export function closeParts(parts: readonly GgufPart[]): void {
  for (const { file } of parts) file.close();
}

/** The paths of all parts of a model; all parts of one model give the same. */
export function partPaths(path: string): string[] {
  const match = PART_NAME.exec(path);
  if (match === null) return [path];
  const [, stem, , total] = match;
  const count = Number(total);
  const paths: string[] = [];
  for (let number = 1; number <= count; number++) {
    const part = `${stem}-${String(number).padStart(5, "0")}-of-${total}.gguf`;
    if (!isFile(part)) {
      throw new FormatError("NotFound", `Cannot find part ${number} of ${count}: ${part}`);
    }
    paths.push(part);
  }
  if (paths.includes(path)) return paths;
  throw new FormatError("Mismatch", `Cannot count part of a GGUF model: ${path}`);
}

function openPart(path: string): GgufPart {
  const file = openWeightFile(path);
  try {
    const { size } = file.statSync();
    const read = (position: number, into: Uint8Array) => readExactly(file, path, position, into);
    return { path, file, header: parseGgufHeader({ name: path, size, read }) };
  } catch (cause) {
    file.close();
    throw cause;
  }
}

function checkParts(parts: readonly GgufPart[], path: string): void {
  for (const [index, part] of parts.entries()) {
    check(part, "split.count", parts.length, parts.length === 1);
    check(part, "split.no", index, parts.length === 1);
  }
  const stated = parts[0]?.header.metadata.get("split.tensors.count");
  const held = parts.reduce((sum, { header }) => sum + header.tensors.size, 0);
  if (parts.length === 1 || stated === undefined || stated === held) return;
  const tensors = `${held} tensors, split.tensors.count ${quote(stated)}`;
  throw new FormatError("Mismatch", `Cannot join parts of ${path}: ${tensors}`);
}

function check(part: GgufPart, key: string, expected: number, isOptional: boolean): void {
  const stated = part.header.metadata.get(key);
  if (stated === expected || (isOptional && stated === undefined)) return;
  // A model that was never split says so with a count of 0.
  if (isOptional && stated === 0) return;
  const found = `${key} is ${quote(stated ?? null)}, expected ${expected}`;
  throw new FormatError("Mismatch", `Cannot join part ${part.path}: ${found}`);
}
