/** What is wrong with bytes, or with a value that should become bytes. */
export type CodecErrorCode = "Malformed" | "TooLarge" | "TooDeep" | "Checksum" | "Unsupported";

/** The only error that the codec throws. */
export class CodecError extends Error {
  /** The name of the class. */
  override readonly name = "CodecError";
  /** What is wrong. */
  readonly code: CodecErrorCode;

  /** Makes the error of a code. */
  constructor(code: CodecErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
