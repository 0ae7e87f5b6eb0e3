/** The WGSL files, read once a device. */

/** Every file in `wgsl/`. */
const files = [
  "activations",
  "add",
  "add_gated",
  "arrange",
  "attention_common",
  "attention_decode",
  "attention_merge",
  "attention_prefill",
  "attention_rotate",
  "attention_team",
  "sample_cut",
  "sample_draw",
  "sample_list",
  "sample_reduce",
  "sample_row",
  "sample_summary",
  "sample_uniform",
  "clear",
  "copy",
  "embed",
  "experts_combine",
  "experts_group",
  "gather",
  "gemm",
  "gemv",
  "gemv_packed",
  "gemv_sums",
  "measure_fma",
  "measure_read",
  "products",
  "reduce",
  "rms_norm",
  "rotate_append",
  "route_choose",
  "step",
  "swiglu_gate",
  "weights",
  "weights_bf16",
  "weights_f16",
  "weights_f32",
  "weights_nibbles",
  "weights_q4_0",
  "weights_q4_k",
  "weights_q6_k",
  "weights_q8_0",
];

/** Reads all kernels, by file name. */
export async function readSources(): Promise<ReadonlyMap<string, string>> {
  const entries = files.map(async (name) => {
    const response = await fetch(new URL(`wgsl/${name}.wgsl`, import.meta.url));
    return [`${name}.wgsl`, await response.text()] as const;
  });
  return new Map(await Promise.all(entries));
}
