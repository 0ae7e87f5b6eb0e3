/** Which function plans and which executes each op. A plan says how many chunks there are to claim. */
import { Op, Weight, Word } from "../opcodes";
import { address, liveRows, word } from "./vector";
import { matmul, planMatmul } from "./matmul";
import { pack, planPack } from "./pack";
import { activate, add, clear, embed, gather, norm, planColumns, planNorm } from "./elementwise";
import { attend, planAttend } from "./attention";
import {
  combine, entries, groupActivate, groupMatmul, groupPack, planGroup, planGroupMatmul, planGroups, route,
} from "./experts";
import { rotate } from "./rotary";
import { draw, planSegment, segment } from "./sample";
import { planSeal, seal } from "./seal";

export function plan(op: usize): i32 {
  switch (word(op, Word.Opcode)) {
    case Op.Pack:
      return planPack(op);
    case Op.Matmul:
      return planMatmul(op);
    case Op.Norm:
      return planNorm(op);
    case Op.Activate:
    case Op.Add:
    case Op.AddGated:
      return planColumns(op);
    case Op.Attend:
      return planAttend(op);
    case Op.Group:
      return planGroup(op);
    case Op.GroupPack:
    case Op.GroupActivate:
      return planGroups(op);
    case Op.GroupMatmul:
      return planGroupMatmul(op);
    case Op.Segment:
      return planSegment(op);
    case Op.Seal:
      return planSeal(op);
    default:
      return liveRows(op);
  }
}

/** Words up to which the thread that plans an op does it at once: sharing it would take longer. */
const SMALL: i32 = 8192;

export function isSmall(op: usize): bool {
  return words(op) <= SMALL;
}

/** How many words an op works on, roughly; those that are always shared count as very many. */
function words(op: usize): i32 {
  const n = word(op, Word.N), k = word(op, Word.K);
  switch (word(op, Word.Opcode)) {
    case Op.Norm:
      return liveRows(op) * word(op, Word.A) * n;
    case Op.Activate:
    case Op.Add:
    case Op.AddGated:
    case Op.Clear:
    case Op.Gather:
      return liveRows(op) * n;
    case Op.Combine:
    case Op.Route:
      return liveRows(op) * n * k;
    case Op.Rotate:
      return liveRows(op) * (word(op, Word.A) + 2 * word(op, Word.B)) * k;
    case Op.Pack:
      return liveRows(op) * k;
    case Op.Embed:
      return liveRows(op) * word(address(op, Word.Weight), Weight.K);
    case Op.GroupPack:
    case Op.GroupActivate:
      return entries(op) * k;
    default:
      return i32.MAX_VALUE;
  }
}

export function execute(op: usize, chunk: i32, thread: i32): void {
  switch (word(op, Word.Opcode)) {
    case Op.Pack:
      return pack(op, chunk);
    case Op.Matmul:
      return matmul(op, chunk, thread);
    case Op.Embed:
      return embed(op, chunk);
    case Op.Norm:
      return norm(op, chunk);
    case Op.Activate:
      return activate(op, chunk);
    case Op.Rotate:
      return rotate(op, chunk);
    case Op.Attend:
      return attend(op, chunk, thread);
    case Op.Route:
      return route(op, chunk);
    case Op.GroupPack:
      return groupPack(op, chunk);
    case Op.GroupMatmul:
      return groupMatmul(op, chunk, thread);
    case Op.GroupActivate:
      return groupActivate(op, chunk, thread);
    case Op.Combine:
      return combine(op, chunk);
    case Op.Add:
    case Op.AddGated:
      return add(op, chunk);
    case Op.Clear:
      return clear(op, chunk);
    case Op.Gather:
      return gather(op, chunk);
    case Op.Segment:
      return segment(op, chunk);
    case Op.Draw:
      return draw(op, chunk, thread);
    case Op.Seal:
      return seal(op, chunk, thread);
    default:
      unreachable();
  }
}
