/** A dtype of ggml, in lower case. */
export type GgmlDType =
  | "f32"
  | "f16"
  | "q4_0"
  | "q4_1"
  | "q5_0"
  | "q5_1"
  | "q8_0"
  | "q8_1"
  | "q2_k"
  | "q3_k"
  | "q4_k"
  | "q5_k"
  | "q6_k"
  | "q8_k"
  | "iq2_xxs"
  | "iq2_xs"
  | "iq3_xxs"
  | "iq1_s"
  | "iq4_nl"
  | "iq3_s"
  | "iq2_s"
  | "iq4_xs"
  | "i8"
  | "i16"
  | "i32"
  | "i64"
  | "f64"
  | "iq1_m"
  | "bf16"
  | "tq1_0"
  | "tq2_0"
  | "mxfp4";

/** By number in a file: name, elements of a block, bytes of a block. */
const types: Readonly<Record<number, readonly [GgmlDType, number, number]>> = {
  0: ["f32", 1, 4],
  1: ["f16", 1, 2],
  2: ["q4_0", 32, 18],
  3: ["q4_1", 32, 20],
  6: ["q5_0", 32, 22],
  7: ["q5_1", 32, 24],
  8: ["q8_0", 32, 34],
  9: ["q8_1", 32, 36],
  10: ["q2_k", 256, 84],
  11: ["q3_k", 256, 110],
  12: ["q4_k", 256, 144],
  13: ["q5_k", 256, 176],
  14: ["q6_k", 256, 210],
  15: ["q8_k", 256, 292],
  16: ["iq2_xxs", 256, 66],
  17: ["iq2_xs", 256, 74],
  18: ["iq3_xxs", 256, 98],
  19: ["iq1_s", 256, 50],
  20: ["iq4_nl", 32, 18],
  21: ["iq3_s", 256, 110],
  22: ["iq2_s", 256, 82],
  23: ["iq4_xs", 256, 136],
  24: ["i8", 1, 1],
  25: ["i16", 1, 2],
  26: ["i32", 1, 4],
  27: ["i64", 1, 8],
  28: ["f64", 1, 8],
  29: ["iq1_m", 256, 56],
  30: ["bf16", 1, 2],
  34: ["tq1_0", 256, 54],
  35: ["tq2_0", 256, 66],
  39: ["mxfp4", 32, 17],
};

/** How a dtype of ggml is laid out: equal blocks, each within one row. */
export interface GgmlBlock {
  /** Name of the dtype. */
  readonly dtype: GgmlDType;
  /** Elements of a block. */
  readonly elements: number;
  /** Bytes of a block. */
  readonly bytes: number;
}

/** The type of this number; `undefined` when ggml has none or has dropped it. */
export function ggmlType(id: number): GgmlBlock | undefined {
  const type = Object.hasOwn(types, id) ? types[id] : undefined;
  return type && { dtype: type[0], elements: type[1], bytes: type[2] };
}
