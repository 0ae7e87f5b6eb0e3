/** What is wrong with bytes, or with a value that should become bytes. */
export type CodecErrorCode = "Malformed" | "TooLarge" | "TooDeep" | "Checksum" | "Unsupported";

/** The only error that the codec throws. */
export class CodecError extends Error {
  override readonly name = "CodecError";
  readonly code: CodecErrorCode;

  constructor(code: CodecErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
