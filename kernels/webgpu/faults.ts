/** Errors of a GPU device, which it reports late, brought to the call that hit them. */
import { KernelError, type KernelErrorCode } from "../errors.ts";

const filters = ["internal", "out-of-memory", "validation"] as const;
const codes: Readonly<Record<GPUErrorFilter, KernelErrorCode>> = {
  "internal": "Unsupported",
  "out-of-memory": "OutOfMemory",
  "validation": "Unsupported",
};

/** Collects the errors of one device. */
export class Faults {
  readonly #device: GPUDevice;
  readonly #open: Promise<void>[] = [];
  #first: KernelError | undefined;
  readonly #loss = Promise.withResolvers<string>();
  #lost: string | undefined;

  constructor(device: GPUDevice) {
    this.#device = device;
    device.lost.then(({ reason, message }) => this.lose(`${reason}, ${message}`));
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      const { error } = event as GPUUncapturedErrorEvent;
      const isMemory = error.constructor.name === "GPUOutOfMemoryError";
      this.#keep("use the GPU", isMemory ? "out-of-memory" : "internal", error);
    });
  }

  /** Resolves, with the reason, when the device is lost for good. */
  get loss(): Promise<string> {
    return this.#loss.promise;
  }

  /** Does `act`; what it breaks is thrown at once, with the code `thrown`, or by the next {@link check}. */
  guard<T>(what: string, act: () => T, thrown: KernelErrorCode = "Unsupported"): T {
    for (const filter of filters) this.#device.pushErrorScope(filter);
    try {
      return act();
    } catch (error) {
      throw new KernelError(thrown, `Cannot ${what}: ${line(error)}`);
    } finally {
      for (const filter of filters.toReversed()) this.#open.push(this.#close(what, filter));
    }
  }

  /** Throws the first error since the last check, or `DeviceLost` for good. */
  async check(): Promise<void> {
    if (this.#open.length > 0) await Promise.all(this.#open.splice(0));
    this.checkLost();
    const error = this.#first;
    this.#first = undefined;
    if (error) throw error;
  }

  /** Whether the device is known to be lost. */
  get lost(): boolean {
    return this.#lost !== undefined;
  }

  /** Throws when the device is known to be lost. */
  checkLost(): void {
    if (this.#lost !== undefined) throw this.lose(this.#lost);
  }

  /** Marks the device as lost for good; the error to throw. */
  lose(reason: string): KernelError {
    this.#lost ??= reason;
    this.#loss.resolve(this.#lost);
    return new KernelError("DeviceLost", `Cannot use a GPU that was lost: ${this.#lost}`);
  }

  async #close(what: string, filter: GPUErrorFilter): Promise<void> {
    try {
      const error = await this.#device.popErrorScope();
      if (error) this.#keep(what, filter, error);
    } catch (error) {
      // Scopes of a lost device may be gone.
      this.lose(line(error));
    }
  }

  #keep(what: string, filter: GPUErrorFilter, { message }: GPUError): void {
    this.#first ??= new KernelError(codes[filter], `Cannot ${what}: ${line(message)}`);
  }
}

/** A driver's message on one line. */
function line(message: unknown): string {
  return String(message instanceof Error ? message.message : message).replaceAll(/\s+/g, " ").trim()
    .slice(0, 2000);
}
