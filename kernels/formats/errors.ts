/** Why a checkpoint was refused: a closed set. */
export type FormatErrorCode =
  | "NotFound"
  | "Truncated"
  | "InvalidHeader"
  | "InvalidConfig"
  | "Unsupported"
  | "Mismatch"
  | "OutOfRange"
  | "TooLarge"
  | "Closed";

/** An error of a checkpoint's files; one line that names the file and the value that broke it. */
export class FormatError extends Error {
  /** The name of the class. */
  override readonly name = "FormatError";
  /** Why it was refused. */
  readonly code: FormatErrorCode;

  /** An error with its code and its one-line message. */
  constructor(code: FormatErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
