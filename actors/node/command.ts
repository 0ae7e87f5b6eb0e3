import { FormatError, KernelError, TextError } from "../../kernels/mod.ts";
import { ActorError } from "../../runtime/mod.ts";
import { ConfigError } from "../config/mod.ts";
import { LayoutError } from "../planner/mod.ts";
import { CalibrationError } from "../router/mod.ts";
import { ItemsError } from "./items.ts";

const expected = [
  ActorError,
  CalibrationError,
  ConfigError,
  FormatError,
  ItemsError,
  KernelError,
  LayoutError,
  TextError,
];

/** One line for people about an error that the user can do something about; `null` for a defect of ours. */
export function describeError(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  const isSystem = error instanceof Deno.errors.NotFound ||
    error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.AddrInUse || error instanceof Deno.errors.IsADirectory;
  const isArguments = "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
  if (isSystem || isArguments || expected.some((kind) => error instanceof kind)) {
    return error.message.split("\n")[0]!;
  }
  return null;
}

/** Runs a command's main function; a user's error is printed as one line and exits with 1. */
export async function runCommand(
  main: () => Promise<void>,
  describe: (error: unknown) => string | null = describeError,
): Promise<void> {
  try {
    await main();
  } catch (error) {
    const line = describe(error);
    if (line === null) throw error;
    console.error(line);
    Deno.exit(1);
  }
}
