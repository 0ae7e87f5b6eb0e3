import { parseKeyFile, readKeyFile } from "./load.ts";
import type { KeyEntry } from "./ring.ts";

/**
 * The text of a file of keys with one more in it, written to `file` unless that is absent. Throws
 * `ConfigError` when the file cannot be used as it is, or has a key of that name.
 */
export async function addKey(entry: KeyEntry, file?: string): Promise<string> {
  const present = file === undefined ? [] : await presentKeys(file);
  const text = formatKeyFile([...present, entry]);
  parseKeyFile(text, file ?? "the new entry");
  if (file !== undefined) await replaceFile(file, text);
  return text;
}

async function presentKeys(file: string): Promise<readonly KeyEntry[]> {
  try {
    await Deno.stat(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
  }
  return parseKeyFile(await readKeyFile(file), file);
}

function formatKeyFile(entries: readonly KeyEntry[]): string {
  const keys = entries.map(({ name, sha256, limits, admin }) => ({
    name,
    sha256,
    ...limits,
    ...(admin && { admin }),
  }));
  return `${JSON.stringify({ keys }, null, 2)}\n`;
}

/** Writes beside the file and moves it there, so that it is never seen half written. */
async function replaceFile(file: string, text: string): Promise<void> {
  const beside = `${file}.new`;
  await Deno.writeTextFile(beside, text, { mode: 0o600 });
  await Deno.rename(beside, file);
}
