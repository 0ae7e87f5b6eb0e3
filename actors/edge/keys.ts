import { createHash, timingSafeEqual } from "node:crypto";
import type { Buffer } from "node:buffer";
import { ConfigError } from "../config/mod.ts";

const usable = /^[\x21-\x7e]{1,512}$/;
const maxFileBytes = 1 << 20;

/** API keys, kept as SHA-256 only. */
export class KeyRing {
  readonly #digests: readonly Buffer[];

  /** A ring of these keys. */
  constructor(keys: readonly string[]) {
    this.#digests = [...new Set(keys)].map(digest);
  }

  /** How many different keys there are. */
  get size(): number {
    return this.#digests.length;
  }

  /** Whether the key is one of the ring, in a time that does not tell which or how nearly. */
  has(key: string): boolean {
    const asked = digest(key);
    let found = false;
    for (const known of this.#digests) found = timingSafeEqual(known, asked) || found;
    return found;
  }
}

/** Where keys are found. */
export interface KeySources {
  /** One key a line; `#` starts a comment. */
  readonly file?: string;
  /** Keys with commas between: the value of `TANDEM_API_KEYS`. */
  readonly list?: string;
}

/** The keys of a file and of a list together; `null` when neither is given. Throws `ConfigError`. */
export async function loadKeys({ file, list }: KeySources): Promise<KeyRing | null> {
  const keys: string[] = [];
  if (file !== undefined) keys.push(...checked(parseLines(await readKeys(file)), file));
  if (list !== undefined && list.trim() !== "") {
    const parts = list.split(",").map((key, index) => ({ key: key.trim(), place: index + 1 }));
    keys.push(...checked(parts.filter(({ key }) => key !== ""), "TANDEM_API_KEYS"));
  }
  return file === undefined && keys.length === 0 ? null : new KeyRing(keys);
}

/** Whether only this machine can reach a host. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, "$1");
  return name === "localhost" || name === "::1" || /^127(\.\d{1,3}){3}$/.test(name);
}

/** Refuses to open the server to others without keys. Throws `ConfigError`. */
export function requireKeys(host: string, keys: KeyRing | null): void {
  if (keys !== null || isLoopback(host)) return;
  const cure = "give --keys FILE or TANDEM_API_KEYS, or listen on 127.0.0.1";
  throw new ConfigError(
    "Invalid",
    `Cannot listen without API keys where others can call (${cure}): ${host}`,
  );
}

interface PlacedKey {
  readonly key: string;
  readonly place: number;
}

function parseLines(text: string): PlacedKey[] {
  return text.split(/\r?\n/).map((line, index) => ({
    key: line.replace(/(^|\s)#.*$/, "").trim(),
    place: index + 1,
  })).filter(({ key }) => key !== "");
}

function checked(keys: readonly PlacedKey[], source: string): string[] {
  if (keys.length === 0) {
    throw new ConfigError("Invalid", `Cannot find any API key in it: ${source}`);
  }
  const bad = keys.find(({ key }) => !usable.test(key));
  if (bad === undefined) return keys.map(({ key }) => key);
  const rule = "1 to 512 printable ASCII characters without spaces";
  throw new ConfigError(
    "Invalid",
    `Cannot use key ${bad.place} of ${source}, a key must be ${rule}`,
  );
}

async function readKeys(file: string): Promise<string> {
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

function digest(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}
