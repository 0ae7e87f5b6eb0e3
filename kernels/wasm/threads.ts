import { KernelError } from "../errors.ts";

/** Words of the block through which the caller commands the threads. */
export const PoolWord = { Generation: 0, Command: 1, Slot: 2, Messages: 3 } as const;

/** What a thread does when the generation changes. */
export const Command = { Run: 1, Listen: 2, Exit: 3 } as const;

/** What is sent to a thread that listens. Each message says which generation it belongs to. */
export type ThreadMessage =
  | { readonly kind: "start"; readonly control: SharedArrayBuffer; readonly thread: number }
  | {
    readonly kind: "attach";
    readonly generation: number;
    readonly slot: number;
    readonly module: WebAssembly.Module;
    readonly memory: WebAssembly.Memory;
  }
  | { readonly kind: "detach"; readonly generation: number; readonly slot: number };

const MAX_THREADS = 256;

/**
 * The threads of one device: the caller and `count - 1` Workers that park on a control word. They serve
 * any number of backends, one program at a time.
 */
export class WasmThreads {
  readonly #control = new Int32Array(new SharedArrayBuffer(64));
  readonly #workers: Worker[] = [];
  readonly #used = new Set<number>();
  #attaching: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(readonly count: number) {}

  /** Starts the Workers; see {@link createWasmThreads}. */
  static async create(count: number): Promise<WasmThreads> {
    if (!Number.isInteger(count) || count < 1 || count > MAX_THREADS) {
      throw new KernelError("InvalidArgument", `Cannot create threads: ${count}`);
    }
    const pool = new WasmThreads(count);
    const control = pool.#control.buffer as SharedArrayBuffer;
    const ready = Array.from({ length: count - 1 }, (_, i) => {
      const worker = new Worker(new URL("./thread.ts", import.meta.url), { type: "module" });
      pool.#workers.push(worker);
      return ask(worker, { kind: "start", control, thread: i + 1 });
    });
    await Promise.all(ready);
    return pool;
  }

  /** Gives every thread an instance of `module` over `memory`; returns the slot that names it. */
  async attach(module: WebAssembly.Module, memory: WebAssembly.Memory): Promise<number> {
    if (this.#closed) throw new KernelError("Closed", "Cannot use threads: closed");
    let slot = 0;
    while (this.#used.has(slot)) slot++;
    this.#used.add(slot);
    const attach = () => {
      const message = { kind: "attach", generation: this.#listen(), slot, module, memory } as const;
      return Promise.all(this.#workers.map((worker) => ask(worker, message)));
    };
    // One at a time: a thread's answer does not say which attachment it is for.
    const attached = this.#attaching.then(attach);
    this.#attaching = attached.catch(() => {});
    await attached;
    return slot;
  }

  /** Drops the instances of a slot, so that its memory can be freed. */
  detach(slot: number): void {
    if (!this.#used.delete(slot) || this.#closed) return;
    const generation = this.#listen();
    for (const worker of this.#workers) worker.postMessage({ kind: "detach", generation, slot });
  }

  /** Wakes the threads to take part in the program that `slot` has just started. */
  wake(slot: number): void {
    if (this.#workers.length === 0) return;
    Atomics.store(this.#control, PoolWord.Slot, slot);
    this.#command(Command.Run);
  }

  /** Ends the threads; backends that use them must be closed before. */
  close(): void {
    this.#closed = true;
    this.#command(Command.Exit);
    for (const worker of this.#workers) worker.terminate();
    this.#workers.length = 0;
  }

  /** Has the threads read one message each, which follows. The count outlasts a command to run. */
  #listen(): number {
    Atomics.add(this.#control, PoolWord.Messages, 1);
    return this.#command(Command.Listen);
  }

  #command(command: number): number {
    Atomics.store(this.#control, PoolWord.Command, command);
    const generation = Atomics.add(this.#control, PoolWord.Generation, 1) + 1 | 0;
    Atomics.notify(this.#control, PoolWord.Generation);
    return generation;
  }
}

/** Starts `count` threads, the caller included. Close them with `close()`. */
export function createWasmThreads(count: number): Promise<WasmThreads> {
  return WasmThreads.create(count);
}

function ask(worker: Worker, message: ThreadMessage): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      if (data === null) resolve();
      else reject(new KernelError("DeviceLost", `Cannot prepare a thread: ${data}`));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new KernelError("DeviceLost", `Cannot run a thread: ${event.message}`));
    };
    worker.postMessage(message);
  });
}
