import { TextError } from "./errors.ts";
import { quote } from "../quote.ts";
import type { DecoderStep } from "./tokenizer_schema.ts";

/** How the tokens of a tokenizer become bytes of text. */
export interface TokenDecoder {
  /** Bytes of one token's text, wherever it stands; `added` tokens stand for themselves. */
  bytes(token: string, added: boolean): Uint8Array;
  /** Leading spaces that the text of a whole sequence loses. */
  readonly leadingSpaces: number;
}

/**
 * Builds the decoder of a tokenizer: `ByteLevel`, `Metaspace`, or a `Sequence` of `Replace`, `ByteFallback`,
 * `Fuse`, leading `Strip` and these. Throws {@link TextError} `Unsupported` for any other, since only
 * decoders that work token by token can stream.
 */
export function createTokenDecoder(decoder: DecoderStep | null | undefined): TokenDecoder {
  if (decoder === null || decoder === undefined) throw unsupported("null");
  const steps = flatten(decoder, 0);
  if (steps.some(({ type }) => type === "ByteLevel")) return byteLevelDecoder();
  const replacements = steps.flatMap(replacementsOf);
  const byteFallback = steps.some(({ type }) => type === "ByteFallback");
  const encoder = new TextEncoder();
  const bytes = (token: string) => {
    const text = replacements.reduce((text, [from, to]) => text.replaceAll(from, to), token);
    const byte = byteFallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(text)?.[1] : undefined;
    return byte === undefined ? encoder.encode(text) : Uint8Array.of(parseInt(byte, 16));
  };
  return { bytes, leadingSpaces: steps.reduce((sum, step) => sum + leadingSpacesOf(step), 0) };
}

function flatten(step: DecoderStep | null, depth: number): DecoderStep[] {
  if (typeof step?.type !== "string") throw unsupported(quote(step));
  if (step.type !== "Sequence") return [step];
  const steps = step["decoders"];
  if (!Array.isArray(steps) || steps.length > 32 || depth > 2) throw unsupported(quote(step));
  return steps.flatMap((inner) => flatten(inner, depth + 1));
}

function replacementsOf(step: DecoderStep): [string, string][] {
  if (step.type === "Metaspace") return [[String(step["replacement"] ?? "\u2581"), " "]];
  if (step.type === "ByteFallback" || step.type === "Fuse" || step.type === "Strip") return [];
  if (step.type !== "Replace") throw unsupported(quote(step.type));
  const from = (step["pattern"] as { String?: unknown } | undefined)?.String;
  const to = step["content"];
  if (typeof from !== "string" || from === "" || typeof to !== "string") {
    throw unsupported(quote(step));
  }
  return [[from, to]];
}

function leadingSpacesOf(step: DecoderStep): number {
  if (step.type === "Metaspace") return 1;
  if (step.type !== "Strip") return 0;
  const { content, start, stop } = step;
  if (content !== " " || !Number.isInteger(start) || stop !== 0) throw unsupported(quote(step));
  return start as number;
}

function byteLevelDecoder(): TokenDecoder {
  const byteOf = byteLevelAlphabet();
  const encoder = new TextEncoder();
  const bytes = (token: string, added: boolean) => {
    const values = added ? [] : Array.from(token, (character) => byteOf.get(character));
    const spelled = values.filter((value) => value !== undefined);
    const verbatim = added || spelled.length < values.length;
    return verbatim ? encoder.encode(token) : Uint8Array.from(spelled);
  };
  return { bytes, leadingSpaces: 0 };
}

/**
 * The 256 characters of GPT-2's byte-level vocabularies: printable Latin-1 bytes stand for themselves, the
 * others for U+0100 and up, in order.
 */
export function byteLevelAlphabet(): Map<string, number> {
  const alphabet = new Map<string, number>();
  let shifted = 0;
  for (let byte = 0; byte < 256; byte++) {
    const printable = byte > 0x20 && byte < 0x7f || byte > 0xa0 && byte !== 0xad;
    alphabet.set(String.fromCharCode(printable ? byte : 0x100 + shifted++), byte);
  }
  return alphabet;
}

function unsupported(decoder: string): TextError {
  return new TextError("Unsupported", `Cannot stream text of tokenizer with decoder: ${decoder}`);
}
