/** Why items could not be made. */
export type TaskErrorCode = "invalid_option" | "exhausted";

/** An option of the generator that cannot be met. */
export class TaskError extends Error {
  override readonly name = "TaskError";

  /** Makes an error with its code and message. */
  constructor(readonly code: TaskErrorCode, message: string) {
    super(message);
  }
}
