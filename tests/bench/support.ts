/** Runs `body` with a folder that is removed afterwards. */
export function withTemporaryFolder(body: (folder: string) => void): void {
  const folder = Deno.makeTempDirSync();
  try {
    body(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** The bytes of every tensor of a folder's `model.safetensors`. */
export function readFolderTensors(folder: string): Map<string, Uint8Array> {
  const bytes = Deno.readFileSync(`${folder}/model.safetensors`);
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  delete header.__metadata__;
  return new Map(
    Object.entries<{ data_offsets: [number, number] }>(header).map(([name, entry]) => {
      const [from, to] = entry.data_offsets;
      return [name, bytes.subarray(8 + length + from, 8 + length + to)];
    }),
  );
}

/** F16 rows of `columns` from half-split to interleaved rotary order: written out, pair by pair. */
export function interleave(bytes: Uint8Array, heads: number, columns: number): Uint8Array {
  const rowBytes = columns * 2;
  const half = bytes.length / rowBytes / heads / 2;
  const row = (index: number) => [...bytes.subarray(index * rowBytes, (index + 1) * rowBytes)];
  const result: number[] = [];
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < half; i++) {
      result.push(...row(head * 2 * half + i), ...row(head * 2 * half + half + i));
    }
  }
  return new Uint8Array(result);
}
