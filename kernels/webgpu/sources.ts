/** The WGSL files, read once a device. */

/** Every file in `wgsl/`. */
const files = [
  "step",
  "reduce",
  "add",
  "add_gated",
  "clear",
  "embed",
  "gather",
  "rms_norm",
  "rotate_append",
];

/** Reads all kernels, by file name. */
export async function readSources(): Promise<ReadonlyMap<string, string>> {
  const entries = files.map(async (name) => {
    const response = await fetch(new URL(`wgsl/${name}.wgsl`, import.meta.url));
    return [`${name}.wgsl`, await response.text()] as const;
  });
  return new Map(await Promise.all(entries));
}
