import { FormatError } from "../errors.ts";
import { quote } from "../../quote.ts";
import type { GgufValue } from "./metadata_reader.ts";

/** Metadata read by type; keys of the model's architecture are named without it. */
export class Metadata {
  /** `general.architecture`. */
  readonly architecture: string;
  readonly #values: ReadonlyMap<string, GgufValue>;
  readonly #file: string;

  constructor(values: ReadonlyMap<string, GgufValue>, file: string) {
    this.#values = values;
    this.#file = file;
    this.architecture = this.string("general.architecture") ??
      this.#missing("general.architecture");
  }

  /** The number at `ARCHITECTURE.key`; of a list with one entry a layer, the entry that all have. */
  number(key: string): number | undefined {
    const full = `${this.architecture}.${key}`;
    const value = this.#values.get(full);
    if (value === undefined) return undefined;
    const entries = Array.isArray(value) ? new Set<GgufValue>(value) : new Set([value]);
    const [entry] = entries;
    if (entries.size > 1) throw this.#fault("Unsupported", full, value);
    if (typeof entry === "number" && Number.isFinite(entry)) return shortest(entry);
    throw this.#fault("InvalidConfig", full, value);
  }

  /** {@link number}, which must be there. */
  required(key: string): number {
    return this.number(key) ?? this.#missing(`${this.architecture}.${key}`);
  }

  /** The positive integer at `ARCHITECTURE.key`. */
  count(key: string): number | undefined {
    const value = this.number(key);
    if (value === undefined || (Number.isSafeInteger(value) && value > 0)) return value;
    throw this.#fault("InvalidConfig", `${this.architecture}.${key}`, value);
  }

  /** The string at `key`. */
  string(key: string): string | undefined {
    const value = this.#values.get(key);
    if (value === undefined || typeof value === "string") return value;
    throw this.#fault("InvalidConfig", key, value);
  }

  /** The token id at `tokenizer.ggml.key`; files say "none" with an id that no vocabulary has. */
  token(key: string): number | undefined {
    const full = `tokenizer.ggml.${key}`;
    const value = this.#values.get(full);
    if (value === undefined || value === 0xffffffff || value === -1) return undefined;
    if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
    throw this.#fault("InvalidConfig", full, value);
  }

  /** The list at `key`; empty without it. */
  list(key: string): readonly GgufValue[] {
    const value = this.#values.get(key) ?? [];
    if (Array.isArray(value)) return value;
    throw this.#fault("InvalidConfig", key, value);
  }

  #missing(key: string): never {
    throw new FormatError("InvalidConfig", `Cannot find metadata key in ${this.#file}: ${key}`);
  }

  #fault(code: "InvalidConfig" | "Unsupported", key: string, value: GgufValue): FormatError {
    return new FormatError(code, `Cannot use ${key} of ${this.#file}: ${quote(value)}`);
  }
}

/** Stored floats are float32: the shortest decimal that rounds to the same one. */
function shortest(value: number): number {
  if (Math.fround(value) !== value) return value;
  for (let digits = 1; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === value) return rounded;
  }
  return value;
}
