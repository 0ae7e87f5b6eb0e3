/** Random-weight models, and the formats that both engines read. */
export { configOf, type ModelConfig, parseConfig } from "./config.ts";
export { openFolder, writeFolder } from "./folder.ts";
export { writeGguf } from "./gguf.ts";
export { randomModel, uniform } from "./random.ts";
export { type TensorInfo, tensorsOf, type TensorSource } from "./tensors.ts";
