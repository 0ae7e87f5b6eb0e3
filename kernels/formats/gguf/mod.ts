/** GGUF: models of one or several files, under the names of Hugging Face. */
export { type ByteSource, MAX_GGUF_HEADER_BYTES } from "./byte_reader.ts";
export { type GgmlBlock, type GgmlDType, ggmlType } from "./ggml_types.ts";
export { type GgufHeader, type GgufTensor, parseGgufHeader } from "./header.ts";
export { type GgufValue } from "./metadata_reader.ts";
export { openGguf } from "./model.ts";
export { openModel } from "./open_model.ts";
