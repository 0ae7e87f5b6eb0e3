import { FormatError } from "./errors.ts";
import { isFile, reason } from "./json_file.ts";

/** Opens a file of weights. Throws `NotFound`. */
export function openWeightFile(path: string): Deno.FsFile {
  if (!isFile(path)) throw new FormatError("NotFound", `Cannot find weights: ${path}`);
  try {
    return Deno.openSync(path);
  } catch (cause) {
    throw new FormatError("NotFound", `Cannot open weights: ${reason(cause)}`);
  }
}

/** Fills `into` with the bytes of a file from `position` on. Throws `Truncated`. */
export function readExactly(
  file: Deno.FsFile,
  path: string,
  position: number,
  into: Uint8Array,
): void {
  file.seekSync(position, Deno.SeekMode.Start);
  let filled = 0;
  while (filled < into.byteLength) {
    const count = file.readSync(into.subarray(filled));
    if (count === null) {
      const missing = `ends at byte ${position + filled}, wanted ${position + into.byteLength}`;
      throw new FormatError("Truncated", `Cannot read half-copied file ${path}: ${missing}`);
    }
    filled += count;
  }
}
