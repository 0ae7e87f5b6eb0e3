import type { WireFloats, WireFormat } from "./replica_protocol.ts";

/** The largest finite value of a half. */
const MOST_HALF = 65504;

/** Activations in the format of the wire. Halves saturate: an infinity would spoil all that follows. */
export function toWire(values: Float32Array, format: WireFormat): WireFloats {
  if (format === "f32") return values;
  return new Float16Array(values.map((value) => Math.max(-MOST_HALF, Math.min(MOST_HALF, value))));
}

/** Activations as they are computed with. */
export function fromWire(values: WireFloats): Float32Array {
  return values instanceof Float32Array ? values : new Float32Array(values);
}
