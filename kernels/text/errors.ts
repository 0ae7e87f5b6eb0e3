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

/** A value from outside as it may stand in a message: on one line, short. */
export function quote(value: unknown): string {
  const text = stringify(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}

function stringify(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    // Nested too deeply, or not JSON.
    return typeof value;
  }
}

/** The message of a caught value, on one line of at most 500 characters. */
export function reason(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  return message.replace(/\s+/g, " ").slice(0, 500);
}
