import { z } from "zod";
import { ConfigError, firstIssue, showPath } from "../../config/mod.ts";
import { type KeyEntry, KeyRing, plainEntry } from "./ring.ts";

const usable = /^[\x21-\x7e]{1,512}$/;
const maxFileBytes = 1 << 20;
const maxKeys = 4096;

/** Where keys are found. */
export interface KeySources {
  /** JSON of hashed keys, or one plain key a line; `#` starts a comment. */
  readonly file?: string;
  /** The same JSON, or plain keys with commas between: the value of `TANDEM_API_KEYS`. */
  readonly list?: string;
}

const limit = z.int().min(1).max(1_000_000_000).exactOptional();

const keyFile = z.strictObject({
  keys: z.array(z.strictObject({
    name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/, {
      error: "must be 1 to 64 letters, digits, dots, dashes, underscores or @",
    }),
    sha256: z.string().regex(/^[0-9a-fA-F]{64}$/, { error: "must be 64 hexadecimal digits" }),
    requestsPerMinute: limit,
    tokensPerMinute: limit,
    concurrentRequests: limit,
    admin: z.boolean().default(false),
  })).min(1).max(maxKeys),
});

/** The keys of a file and of a list together; `null` when neither is given. Throws `ConfigError`. */
export async function loadKeys({ file, list = "" }: KeySources): Promise<KeyRing | null> {
  const parts: Parsed[] = [];
  if (file !== undefined) parts.push(parse(await readKeyFile(file), file, /\r?\n/));
  if (list.trim() !== "") parts.push(parse(list, "TANDEM_API_KEYS", /,/));
  if (parts.length === 0) return null;
  const entries = parts.flatMap((part) => part.entries);
  return new KeyRing(entries, parts.reduce((sum, { plain }) => sum + plain, 0));
}

interface Parsed {
  readonly entries: readonly KeyEntry[];
  /** How many of them are in plain text. */
  readonly plain: number;
}

function parse(text: string, source: string, separator: RegExp): Parsed {
  if (/^\s*\{/.test(text)) return { entries: parseKeyFile(text, source), plain: 0 };
  const keys = text.split(separator).map((line, index) => ({
    key: line.replace(/(^|\s)#.*$/, "").trim(),
    place: index + 1,
  })).filter(({ key }) => key !== "");
  const entries = checked(keys, source).map(({ key, place }) => plainEntry(key, `key-${place}`));
  return { entries, plain: entries.length };
}

/** The keys of a file's JSON. Throws `ConfigError` that shows no value. */
export function parseKeyFile(text: string, source: string): readonly KeyEntry[] {
  const data = readJson(text, source);
  const result = keyFile.safeParse(data);
  if (!result.success) {
    // The value is not shown: it may be a key that was put where its hash belongs.
    const { path, rule } = firstIssue(result.error, data);
    throw new ConfigError("Invalid", `Cannot use ${source}, ${showPath(path)} ${rule}`);
  }
  const { keys } = result.data;
  const twice = keys.find(({ name }, at) => keys.findIndex((other) => other.name === name) < at);
  if (twice) {
    throw new ConfigError("Invalid", `Cannot use ${source}, two keys named: ${twice.name}`);
  }
  return keys.map(({ name, sha256, admin, ...limits }) => ({ name, sha256, admin, limits }));
}

function readJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message quotes the text, which may hold a key.
    throw new ConfigError("Invalid", `Cannot read ${source}, it begins as JSON but is none`);
  }
}

interface PlacedKey {
  readonly key: string;
  readonly place: number;
}

function checked(keys: readonly PlacedKey[], source: string): readonly PlacedKey[] {
  if (keys.length === 0) {
    throw new ConfigError("Invalid", `Cannot find any API key in it: ${source}`);
  }
  const bad = keys.find(({ key }) => !usable.test(key));
  if (bad === undefined) return keys;
  const rule = "1 to 512 printable ASCII characters without spaces";
  throw new ConfigError(
    "Invalid",
    `Cannot use key ${bad.place} of ${source}, a key must be ${rule}`,
  );
}

/** The text of a file of keys, of at most 1 MiB. Throws `ConfigError`. */
export async function readKeyFile(file: string): Promise<string> {
  try {
    const { size } = await Deno.stat(file);
    if (size <= maxFileBytes) return await Deno.readTextFile(file);
  } catch (error) {
    throw new ConfigError(
      error instanceof Deno.errors.NotFound ? "NotFound" : "Unreadable",
      `Cannot read the file of API keys (${(error as Error).name}): ${file}`,
    );
  }
  throw new ConfigError(
    "Unreadable",
    `Cannot read the file of API keys, it is over 1 MiB: ${file}`,
  );
}
