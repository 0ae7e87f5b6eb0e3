import { RestartIntensity } from "../supervision.ts";

/** How often a node may be lost before it is kept out for a while. */
export interface QuarantineLimits {
  /** Losses that are borne within `withinMs`. */
  readonly losses: number;
  /** The length of the window in milliseconds. */
  readonly withinMs: number;
  /** How long a node is kept out, in milliseconds. */
  readonly forMs: number;
}

/** Names that are remembered at most; the one lost longest ago is forgotten first. */
const maxNames = 4096;

interface Record {
  readonly intensity: RestartIntensity;
  until: number;
}

/** Keeps out nodes that come and go too often: each coming costs everybody work. */
export class Quarantine {
  readonly #limits: QuarantineLimits;
  readonly #records = new Map<string, Record>();

  constructor(limits: QuarantineLimits) {
    this.#limits = limits;
  }

  /** Notes a loss; answers whether the node is kept out from now on. */
  note(node: string, now: number): boolean {
    const { losses, withinMs, forMs } = this.#limits;
    const record = this.#records.get(node) ??
      { intensity: new RestartIntensity({ restarts: losses, withinMs }), until: -Infinity };
    this.#records.delete(node);
    this.#records.set(node, record);
    if (this.#records.size > maxNames) this.#records.delete(this.#records.keys().next().value!);
    if (record.intensity.allow(now)) return false;
    record.until = now + forMs;
    return true;
  }

  /** Whether a node is kept out. */
  holds(node: string, now: number): boolean {
    return now < (this.#records.get(node)?.until ?? -Infinity);
  }
}
