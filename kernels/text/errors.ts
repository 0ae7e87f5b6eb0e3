/** Why text could not be handled: a closed set. */
export type TextErrorCode =
  | "NotFound"
  | "InvalidTokenizer"
  | "VocabularyMismatch"
  | "InvalidToken"
  | "InvalidText"
  | "InvalidTemplate"
  | "TemplateRefused"
  | "InvalidArgument"
  | "Unsupported";

/** An error of tokenizers, templates and stop strings; one line that names the value that broke it. */
export class TextError extends Error {
  /** The name of the class. */
  override readonly name = "TextError";
  /** Why it was refused. */
  readonly code: TextErrorCode;

  /** An error with its code and its one-line message. */
  constructor(code: TextErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The message of a caught value, on one line of at most 500 characters. */
export function reason(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  return message.replace(/\s+/g, " ").slice(0, 500);
}
