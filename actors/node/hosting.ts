import { Fence } from "../../runtime/mod.ts";
import type { PartFacts } from "../node_protocol.ts";

/** What a node hosts for replicas: read for every announcement, changed by the node's actor. */
export class Hosting {
  /** Refuses orders of former planners. */
  readonly fence: Fence = new Fence();
  readonly #parts = new Map<string, PartFacts>();
  readonly #retiring = new Set<string>();
  readonly #changed: () => void;
  #revision = 0;
  #draining = false;

  /** `changed` is called after each change. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** All parts. */
  get parts(): PartFacts[] {
    return [...this.#parts.values()];
  }

  /** Grows with each change of the parts. */
  get revision(): number {
    return this.#revision;
  }

  /** Whether the node takes no more parts. */
  get draining(): boolean {
    return this.#draining;
  }

  /** Whether there is a part at an address. */
  has(address: string): boolean {
    return this.#parts.has(address);
  }

  /** Notes a part that runs now. */
  add(part: PartFacts): void {
    this.#parts.set(part.address, part);
    this.#note();
  }

  /** Whether a part is about to go. */
  isRetiring(address: string): boolean {
    return this.#retiring.has(address);
  }

  /** Notes that a part is about to go, so that nobody is sent there any more. */
  retire(address: string): void {
    this.#retiring.add(address);
    this.#changed();
  }

  /** Notes that a part is no more. */
  remove(address: string): void {
    this.#retiring.delete(address);
    if (this.#parts.delete(address)) this.#note();
  }

  /** Takes no more parts from now on. */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#changed();
  }

  #note(): void {
    this.#revision++;
    this.#changed();
  }
}
