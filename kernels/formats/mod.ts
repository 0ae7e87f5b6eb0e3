/** Checkpoints as files: safetensors, model folders in Hugging Face form, their identity. */
export { FormatError, type FormatErrorCode } from "./errors.ts";
export { type GenerationConfig, parseGenerationConfig } from "./generation_config.ts";
export { type ModelFolder, openModelFolder } from "./model_folder.ts";
export { openSafetensors } from "./safetensors.ts";
export {
  MAX_HEADER_BYTES,
  parseSafetensorsHeader,
  type TensorLocation,
} from "./safetensors_header.ts";
export { type TensorToWrite, type WriteOptions, writeSafetensors } from "./safetensors_writer.ts";
export { openWeights } from "./weight_files.ts";
export {
  DTYPE_BITS,
  readFloat32,
  type SafetensorsDType,
  type StoredDType,
  type TensorInfo,
  type WeightInfo,
  weightInfo,
  type WeightSource,
} from "./weight_source.ts";
export {
  type ByteSource,
  type GgmlBlock,
  type GgmlDType,
  ggmlType,
  type GgufHeader,
  type GgufTensor,
  type GgufValue,
  MAX_GGUF_HEADER_BYTES,
  openGguf,
  openModel,
  parseGgufHeader,
} from "./gguf/mod.ts";
