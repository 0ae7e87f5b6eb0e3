/** What is wrong with a configuration: no such file, unreadable, not JSON, a wrong value, a wrong argument. */
export type ConfigErrorCode = "NotFound" | "Unreadable" | "Syntax" | "Invalid" | "Usage";

/** A configuration that cannot be used. Its message is one line that names the place and the value. */
export class ConfigError extends Error {
  /** Always `ConfigError`. */
  override readonly name = "ConfigError";
  /** What is wrong. */
  readonly code: ConfigErrorCode;

  /** An error of one line. */
  constructor(code: ConfigErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
