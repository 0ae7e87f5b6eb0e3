/** A thread of a pool: parks until commanded, then takes part in the current program of a memory. */
import { Control } from "./opcodes.ts";
import { Command, PoolWord, type ThreadMessage } from "./threads.ts";

declare const self: DedicatedWorkerGlobalScope;

/** Looks at the control word before parking, about 0.1 ms: the next step often comes sooner, and waking takes long. */
const SPINS = 10_000;

interface Attached {
  readonly memory: WebAssembly.Memory;
  readonly work: (thread: number) => void;
}

class PoolThread {
  readonly #control: Int32Array;
  readonly #index: number;
  readonly #attached = new Map<number, Attached>();
  #messages = 0;

  constructor(control: SharedArrayBuffer, index: number) {
    this.#control = new Int32Array(control);
    this.#index = index;
  }

  receive(message: Exclude<ThreadMessage, { kind: "start" }>): void {
    this.#messages++;
    if (message.kind === "attach") self.postMessage(this.#attach(message));
    else this.#attached.delete(message.slot);
    this.park(message.generation);
  }

  /** Serves commands after generation `seen`, until there is a message to read or it is told to exit. */
  park(seen: number): void {
    const control = this.#control;
    while (Atomics.load(control, PoolWord.Messages) === this.#messages) {
      for (let i = 0; i < SPINS && Atomics.load(control, PoolWord.Generation) === seen; i++);
      Atomics.wait(control, PoolWord.Generation, seen);
      seen = Atomics.load(control, PoolWord.Generation);
      const command = Atomics.load(control, PoolWord.Command);
      if (command === Command.Exit) return self.close();
      if (command === Command.Run) {
        this.#takePart(this.#attached.get(Atomics.load(control, PoolWord.Slot)));
      }
    }
  }

  #attach({ slot, module, memory }: ThreadMessage & { kind: "attach" }): string | null {
    try {
      const { exports } = new WebAssembly.Instance(module, { env: { memory } });
      this.#attached.set(slot, { memory, work: exports.work as Attached["work"] });
      return null;
    } catch (error) {
      return String(error);
    }
  }

  #takePart(instance: Attached | undefined): void {
    try {
      instance?.work(this.#index);
    } catch {
      const words = new Int32Array(instance!.memory.buffer);
      Atomics.store(words, Control.Abort / 4, 1);
      Atomics.notify(words, Control.Ticket / 4 + 1);
    }
  }
}

self.addEventListener("message", ({ data }: MessageEvent<ThreadMessage>) => {
  if (data.kind !== "start") return;
  const thread = new PoolThread(data.control, data.thread);
  self.onmessage = ({ data }) => thread.receive(data);
  self.postMessage(null);
  thread.park(0);
}, { once: true });
