/** Messages as bytes: msgpack headers and raw, aligned, checked blocks for tensors. @module */
export { decode, encode, encodeBehind } from "./codec.ts";
export type { CodecLimits } from "./codec.ts";
export { CodecError } from "./errors.ts";
export type { CodecErrorCode } from "./errors.ts";
export type { WireArray, WireDType, WireTensor } from "./tensor.ts";
