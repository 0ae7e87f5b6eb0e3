/**
 * What the host and the kernels agree on: plain enumerations that both TypeScript and AssemblyScript read.
 */

/** One entry of an op list. */
export enum Op {
  Pack = 1,
  Matmul,
  Embed,
  Norm,
  Activate,
  Rotate,
  Attend,
  Route,
  Group,
  GroupPack,
  GroupMatmul,
  GroupActivate,
  Combine,
  Add,
  AddGated,
  Clear,
  Gather,
  Segment,
  Draw,
  Seal,
}

/** How a weight's elements are stored. */
export enum Stored {
  F32 = 0,
  F16 = 1,
  BF16 = 2,
  Q8_0 = 3,
  Q4_0 = 4,
  Q4_K = 5,
  Q6_K = 6,
}

/** Byte addresses of the control block. Fields that threads contend for have a cache line each. */
export enum Control {
  Ticket = 32768,
  Done = 32832,
  Sleepers = 32896,
  CurrentOp = 32960,
  CurrentTotal = 32964,
  Program = 32968,
  Index = 32972,
  Length = 32976,
  Abort = 33024,
  FaultCode = 33088,
  FaultValue = 33092,
  Tokens = 33152,
  Samples = 33156,
  Scratch = 33160,
  ScratchBytes = 33164,
  Threads = 33168,
}

/** Where the host may allocate from. */
export const HEAP_BASE = 65536;

/** Bytes of one entry of an op list. */
export const OP_BYTES = 128;

/** Values of the `Rows` word that name a count; other values are the count itself. */
export const ROWS_TOKENS = -1;
export const ROWS_SAMPLES = -2;

/**
 * 32-bit words of an entry. `A`, `B` and `C` are counts of the op, `P` to `V` further addresses; the
 * function of each op in this folder names them.
 */
export enum Word {
  Opcode = 0,
  Rows = 1,
  Out = 2,
  X = 3,
  Weight = 4,
  Bias = 5,
  N = 6,
  K = 7,
  Flags = 8,
  Scale = 9,
  A = 10,
  B = 11,
  C = 12,
  D = 13,
  E = 14,
  P = 16,
  Q = 17,
  R = 18,
  S = 19,
  T = 20,
  U = 21,
  V = 22,
  Width = 23,
}

/** 32-bit words of a weight's descriptor. */
export enum Weight {
  Data = 0,
  Stored = 1,
  /** Matrices, one after the other, each padded to whole panels of 32 rows. */
  Matrices = 2,
  N = 3,
  K = 4,
  /** Bytes of one matrix. */
  Bytes = 5,
  /** f32: what activations are multiplied with before the product. */
  InScale = 6,
  /** f32: what the product is multiplied with. */
  OutScale = 7,
  /** f32: what an f16 field, widened by a shift, is multiplied with to have its value. */
  Unit = 8,
  /** Bits of the largest f16 field, found when sealing. */
  Largest = 9,
}

/** Bytes of a weight's descriptor. */
export const WEIGHT_BYTES = 64;

/** What a program may find wrong with what the host wrote. */
export enum Fault {
  None = 0,
  TokenId = 1,
  Position = 2,
  Sequence = 3,
  Page = 4,
  RowIndex = 5,
}
