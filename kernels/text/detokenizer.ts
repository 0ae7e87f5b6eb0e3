/** Turns token ids into text as they come. */
export interface Detokenizer {
  /** Text that has become printable with this token: whole characters only, so perhaps "". */
  push(id: number): string;
  /** The rest: U+FFFD for a character that was begun and not ended. The detokenizer may then start anew. */
  flush(): string;
}

/** Options of {@link createDetokenizer}. */
export interface DetokenizerOptions {
  /** Leaves special tokens out (default false). */
  readonly skipSpecialTokens?: boolean;
  /** The ids go on from earlier text, so a leading space stays (default false: they begin a text). */
  readonly continues?: boolean;
}

/** What a detokenizer needs to know of a tokenizer. */
export interface TokenText {
  /** Ids of special tokens, such as those that begin and end a text. */
  readonly specialIds: ReadonlySet<number>;
  /** Leading spaces that decoding drops from the start of a text (SentencePiece's dummy prefix). */
  readonly leadingSpaces: number;
  /** Bytes that a token adds to a text, where it does not stand first; empty for an id without a token. */
  tokenBytes(id: number): Uint8Array;
}

/**
 * A streaming decoder. The texts it returns, joined, are the text of the whole sequence, and none ends
 * within a character. Constant time and memory a token.
 */
export function createDetokenizer(
  tokenizer: TokenText,
  options: DetokenizerOptions = {},
): Detokenizer {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const spacesToDrop = options.continues ? 0 : tokenizer.leadingSpaces;
  let droppable = spacesToDrop;
  const withoutLeadingSpaces = (text: string): string => {
    if (droppable === 0 || text === "") return text;
    let dropped = 0;
    while (dropped < droppable && text[dropped] === " ") dropped++;
    droppable = dropped === text.length ? droppable - dropped : 0;
    return text.slice(dropped);
  };
  return {
    push(id: number): string {
      if (options.skipSpecialTokens && tokenizer.specialIds.has(id)) return "";
      return withoutLeadingSpaces(decoder.decode(tokenizer.tokenBytes(id), { stream: true }));
    },
    flush(): string {
      const text = withoutLeadingSpaces(decoder.decode());
      droppable = spacesToDrop;
      return text;
    },
  };
}
