/** Kinds of tokens in `tokenizer.ggml.token_type`. */
export const kind = { normal: 1, unknown: 2, control: 3, userDefined: 4, byte: 6 } as const;

/** GPT-2's vocabulary as the metadata of a GGUF file. */
export function gpt2Metadata(dir: string): Map<string, unknown> {
  const vocab: Record<string, number> = JSON.parse(Deno.readTextFileSync(`${dir}/encoder.json`));
  const merges = Deno.readTextFileSync(`${dir}/vocab.bpe`).split("\n").slice(1);
  const tokens = Object.entries(vocab).sort(([, a], [, b]) => a - b).map(([token]) => token);
  return new Map<string, unknown>([
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", "gpt-2"],
    ["tokenizer.ggml.tokens", tokens],
    [
      "tokenizer.ggml.token_type",
      tokens.map((token) => token === "<|endoftext|>" ? kind.control : kind.normal),
    ],
    ["tokenizer.ggml.merges", merges.filter((merge) => merge !== "")],
    ["tokenizer.ggml.bos_token_id", 50256],
    ["tokenizer.ggml.eos_token_id", 50256],
  ]);
}

/** A SentencePiece model file (a protobuf) as the metadata of a GGUF file. */
export function sentencePieceMetadata(path: string): Map<string, unknown> {
  const pieces = [...fieldsOf(Deno.readFileSync(path))]
    .filter(({ field }) => field === 1)
    .map(({ bytes }) => pieceOf(bytes!));
  return spmMetadata(pieces);
}

/** A SentencePiece vocabulary as the metadata of a GGUF file. */
export function spmMetadata(
  pieces: readonly { token: string; score: number; type: number }[],
): Map<string, unknown> {
  return new Map<string, unknown>([
    ["tokenizer.ggml.model", "llama"],
    ["tokenizer.ggml.tokens", pieces.map(({ token }) => token)],
    ["tokenizer.ggml.scores", pieces.map(({ score }) => score)],
    ["tokenizer.ggml.token_type", pieces.map(({ type }) => type)],
    ["tokenizer.ggml.bos_token_id", 1],
    ["tokenizer.ggml.eos_token_id", 2],
    ["tokenizer.ggml.unknown_token_id", 0],
  ]);
}

function pieceOf(bytes: Uint8Array): { token: string; score: number; type: number } {
  const piece = { token: "", score: 0, type: kind.normal as number };
  for (const { field, bytes: value, number } of fieldsOf(bytes)) {
    if (field === 1) piece.token = new TextDecoder().decode(value);
    if (field === 2) piece.score = new DataView(value!.slice().buffer).getFloat32(0, true);
    if (field === 3) piece.type = number!;
  }
  return piece;
}

interface Field {
  readonly field: number;
  readonly bytes?: Uint8Array;
  readonly number?: number;
}

function* fieldsOf(bytes: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 1;; shift *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const field = tag >> 3;
    const wire = tag & 7;
    if (wire === 0) {
      yield { field, number: varint() };
      continue;
    }
    const length = wire === 2 ? varint() : wire === 5 ? 4 : 8;
    yield { field, bytes: bytes.subarray(at, at + length) };
    at += length;
  }
}
