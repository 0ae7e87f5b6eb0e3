const perValue = 16;
const maxVisits = 256;

/**
 * Roughly how many bytes a message holds in memory: buffers and strings in full, containers by at
 * most 256 of their values. Mailboxes are bounded by it.
 */
export function sizeOf(message: unknown): number {
  if (typeof message === "number" || message === undefined || message === null) return perValue;
  return measure(message, { visits: maxVisits });
}

function measure(value: unknown, budget: { visits: number }): number {
  if (typeof value === "string") return perValue + value.length * 2;
  if (typeof value !== "object" || value === null) return perValue;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return perValue + value.byteLength;
  if (value instanceof SharedArrayBuffer) return perValue;
  if (budget.visits-- <= 0) return perValue;
  return Array.isArray(value) ? ofArray(value, budget) : ofRecord(value, budget);
}

function ofArray(values: readonly unknown[], budget: { visits: number }): number {
  let bytes = perValue + values.length * 8;
  for (const value of values) {
    if (budget.visits <= 0) break;
    if (typeof value === "object" || typeof value === "string") bytes += measure(value, budget);
    else budget.visits--;
  }
  return bytes;
}

function ofRecord(record: object, budget: { visits: number }): number {
  let bytes = perValue;
  for (const key in record) {
    bytes += key.length * 2 + measure((record as Record<string, unknown>)[key], budget);
  }
  return bytes;
}
