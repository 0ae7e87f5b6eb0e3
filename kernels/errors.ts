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
  override readonly name = "KernelError";
  readonly code: KernelErrorCode;

  constructor(code: KernelErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
