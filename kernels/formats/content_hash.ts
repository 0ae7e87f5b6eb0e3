import { createHash, type Hash } from "node:crypto";

const MIB = 1 << 20;
/** Checkpoints below this size are hashed whole. */
const WHOLE_LIMIT = 256 * MIB;
const SAMPLE = MIB;
const STRIDE = 128 * MIB;

/** A file to hash, and how many of its leading bytes are always read. */
export interface HashedFile {
  readonly path: string;
  readonly headerBytes: number;
}

/**
 * Content identity of a checkpoint. `sha256:` hashes every byte of files that together stay below 256 MiB.
 * Larger ones get `sha256-sampled:`, over each file's length, its header, 1 MiB at every 128 MiB after it and
 * its last 1 MiB: equal to any copy, and to a checkpoint that differs elsewhere only. File names do not
 * count, their order does.
 */
export async function contentHash(files: readonly HashedFile[]): Promise<string> {
  const sizes = await Promise.all(files.map(async ({ path }) => (await Deno.stat(path)).size));
  const whole = sizes.reduce((sum, size) => sum + size, 0) < WHOLE_LIMIT;
  const hash = createHash("sha256");
  for (const [index, { path, headerBytes }] of files.entries()) {
    const size = sizes[index] ?? 0;
    hash.update(`${size}\n`);
    const ranges: Range[] = whole ? [[0, size]] : sampledRanges(headerBytes, size);
    await hashRanges(hash, path, ranges);
  }
  return `${whole ? "sha256" : "sha256-sampled"}:${hash.digest("hex")}`;
}

function sampledRanges(headerBytes: number, size: number): Range[] {
  const ranges: Range[] = [[0, headerBytes]];
  for (let at = headerBytes; at < size; at += STRIDE) {
    ranges.push([at, Math.min(at + SAMPLE, size)]);
  }
  ranges.push([Math.max(headerBytes, size - SAMPLE), size]);
  return ranges;
}

/** Bytes from, to (exclusive). */
type Range = readonly [from: number, to: number];

async function hashRanges(hash: Hash, path: string, ranges: readonly Range[]): Promise<void> {
  using file = await Deno.open(path);
  const buffer = new Uint8Array(MIB);
  for (const [from, to] of ranges) {
    await file.seek(from, Deno.SeekMode.Start);
    let left = to - from;
    while (left > 0) {
      const count = await file.read(buffer.subarray(0, Math.min(left, buffer.length)));
      if (count === null) break;
      hash.update(buffer.subarray(0, count));
      left -= count;
    }
  }
}
