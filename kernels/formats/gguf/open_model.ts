import { FormatError } from "../errors.ts";
import { quote } from "../../quote.ts";
import { isDirectory, isFile, reason } from "../json_file.ts";
import { type ModelFolder, openModelFolder } from "../model_folder.ts";
import { openGguf } from "./model.ts";
import { partPaths } from "./parts.ts";

/**
 * Opens a model: a folder in Hugging Face form, a `.gguf` file, any part of one of several parts, or a folder
 * without `config.json` that holds one GGUF model. Throws as {@link openModelFolder} and {@link openGguf}.
 */
export function openModel(path: string): ModelFolder {
  if (!isDirectory(path)) {
    if (isFile(path)) return openGguf(path);
    throw new FormatError("NotFound", `Cannot find model: ${path}`);
  }
  const files = isFile(`${path}/config.json`) ? [] : ggufFiles(path);
  if (files.length === 0) return openModelFolder(path);
  const models = new Set(files.map((name) => partPaths(`${path}/${name}`)[0]!));
  const [model] = models;
  if (model !== undefined && models.size === 1) return openGguf(model);
  const names = quote([...models].map((model) => model.slice(path.length + 1)));
  throw new FormatError("Mismatch", `Cannot choose among GGUF models in ${path}: ${names}`);
}

function ggufFiles(dir: string): string[] {
  try {
    const entries = [...Deno.readDirSync(dir)];
    return entries.map(({ name }) => name).filter((name) => name.endsWith(".gguf")).sort();
  } catch (cause) {
    throw new FormatError("NotFound", `Cannot list model folder ${dir}: ${reason(cause)}`);
  }
}
