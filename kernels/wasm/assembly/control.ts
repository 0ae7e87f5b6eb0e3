/**
 * How threads share a program. The ticket's high half is the number of the current step, its low half
 * counts down the chunks that nobody has claimed yet; whoever finishes a step's last chunk publishes the
 * next step. A thread that comes late, or whose core is taken away while it holds no chunk, delays nobody.
 */
import { Control, OP_BYTES } from "../opcodes";
import { execute, isSmall, plan } from "./dispatch";

/** Low half of the ticket when all chunks are claimed. */
const NONE_LEFT: u32 = 0x40000000;
/** Low half of the ticket when the program has ended; anything below 0x20000000 means that. */
const ENDED: u32 = 0x10000000;
const SPINS: i32 = 20000;
const NAP_NS: i64 = 50_000_000;

/** Publishes the next step that is worth sharing, after doing those before it, or the end. */
function advance(thread: i32): void {
  const program = <usize>load<u32>(Control.Program);
  const length = load<u32>(Control.Length);
  let index = load<u32>(Control.Index);
  while (index < length) {
    const op = program + <usize>index * OP_BYTES;
    const total = plan(op);
    index++;
    if (total > 0 && isSmall(op)) {
      for (let chunk = 0; chunk < total; chunk++) execute(op, chunk, thread);
    } else if (total > 0) {
      store<u32>(Control.Index, index);
      store<u32>(Control.CurrentOp, <u32>op);
      store<u32>(Control.CurrentTotal, total);
      atomic.store<u32>(Control.Done, 0);
      publish(NONE_LEFT + total);
      return;
    }
  }
  publish(ENDED);
}

function publish(low: u32): void {
  const step = (atomic.load<u64>(Control.Ticket) >> 32) + 1;
  atomic.store<u64>(Control.Ticket, (step << 32) | <u64>low);
  if (atomic.load<u32>(Control.Sleepers) > 0) atomic.notify(Control.Ticket + 4, -1);
}

/** Makes a program of `length` steps the current one. Call only when none runs. */
export function start(program: u32, length: u32): void {
  store<u32>(Control.Program, program);
  store<u32>(Control.Length, length);
  store<u32>(Control.Index, 0);
  advance(0);
}

/** Takes part in the current program until it has ended. */
export function work(thread: i32): void {
  for (;;) {
    let ticket = atomic.load<u64>(Control.Ticket);
    if (<u32>ticket < 0x20000000) return;
    if (<u32>ticket > NONE_LEFT) {
      ticket = atomic.sub<u64>(Control.Ticket, 1);
      if (<u32>ticket > NONE_LEFT) {
        const total = load<u32>(Control.CurrentTotal);
        execute(load<u32>(Control.CurrentOp), total - (<u32>ticket - NONE_LEFT), thread);
        if (atomic.add<u32>(Control.Done, 1) + 1 == total) advance(thread);
        continue;
      }
      if (<u32>ticket < 0x20000000) return;
    }
    awaitStep(<u32>(ticket >> 32));
  }
}

/** Returns when `step` is over: spins a little, then sleeps, because there may be fewer cores than threads. */
function awaitStep(step: u32): void {
  for (let i = 0; i < SPINS; i++) {
    if (atomic.load<u32>(Control.Ticket + 4) != step) return;
  }
  atomic.add<u32>(Control.Sleepers, 1);
  while (atomic.load<u32>(Control.Ticket + 4) == step) {
    atomic.wait<i32>(Control.Ticket + 4, step, NAP_NS);
    if (atomic.load<u32>(Control.Abort)) unreachable();
  }
  atomic.sub<u32>(Control.Sleepers, 1);
}
