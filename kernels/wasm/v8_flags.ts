/**
 * The flags of V8 under which the CPU kernels run at full speed, for `deno run --v8-flags`. Deno installs no handler
 * for memory traps, so V8 checks the bounds of every access by instructions, and joins no vectors across the
 * checks. The first flag leaves the checks out, in every WebAssembly module of the process; the second joins pairs
 * of 128-bit vectors into 256 bits. docs/cpu.md says why both are safe here.
 */
export const v8Flags: readonly string[] = [
  "--no-wasm-bounds-checks",
  "--experimental-wasm-revectorize",
];
