/** A value from outside as it may stand in a message: JSON on one line of at most 80 characters. */
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
