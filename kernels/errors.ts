/** Why a backend or a model refused: a closed set. */
export type KernelErrorCode =
  | "OutOfMemory"
  | "InvalidShape"
  | "InvalidArgument"
  | "InvalidModel"
  | "Unsupported"
  | "DeviceLost"
  | "Closed";

/** An error of the compute layer; the message states the action, then the value that broke it. */
export class KernelError extends Error {
  /** The name of the class. */
  override readonly name = "KernelError";
  /** Why it was refused. */
  readonly code: KernelErrorCode;

  /** An error with its code and its one-line message. */
  constructor(code: KernelErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
