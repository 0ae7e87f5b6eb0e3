import type { Step, StepResult } from "../../kernels/mod.ts";
import type { ActorRef, Context } from "../../runtime/mod.ts";
import { checkStepResult } from "../checks/mod.ts";
import type { PartitionProtocol, PartitionStep } from "../replica_protocol.ts";

/** A step that takes longer has hung. */
const STEP_DEADLINE_MS = 120_000;

const NO_INTEGERS = new Int32Array(0);
const NO_FLOATS = new Float32Array(0);

/**
 * The partitions of a replica in the order of their layers. A step is asked of all of them at once, each for the
 * part that it reads, and the hidden states pass from one to the next: they cross the network once, and the
 * samples come straight from the last. What fails in any partition fails its ask.
 */
export class Pipeline {
  readonly #partitions: readonly ActorRef<PartitionProtocol>[];
  readonly #signal: AbortSignal;
  readonly #life: string;
  #steps = 0;

  /** `context` is that of the replica's start: what is in flight when that life ends is cancelled. */
  constructor({ system, signal }: Context, addresses: readonly string[]) {
    this.#partitions = addresses.map((address) => system.ref(address));
    this.#signal = signal;
    // Hidden states of a former life may still lie at a partition: no step may have an id twice.
    const { clock, rng } = system;
    this.#life = `${clock.now().toString(36)}-${rng.integer(2 ** 50).toString(36)}`;
  }

  /**
   * Computes a step. A partition that fails has lost its cache, so the error is none that only refuses a
   * message: the replica is to crash with it and start anew.
   */
  async run(step: Step): Promise<StepResult> {
    const id = `${this.#life}-${this.#steps++}`;
    const options = { deadlineMs: STEP_DEADLINE_MS, signal: this.#signal };
    try {
      const asked = this.#partitions.map((partition, i) =>
        partition.ask("step", this.#partOf(id, step, i), options)
      );
      const result = (await Promise.all(asked)).at(-1);
      checkStepResult(result);
      const samples = step.samples * (step.rounds ?? 1);
      if (result.sampled.length === samples) return result;
      throw new Error(`${samples} samples wanted: ${result.sampled.length}`);
    } catch (cause) {
      throw new Error(`Cannot compute a step: ${(cause as Error).message}`, { cause });
    }
  }

  /** The first partition embeds the ids, the last samples; all need the placement. */
  #partOf(id: string, step: Step, index: number): PartitionStep {
    const isFirst = index === 0;
    const next = this.#partitions[index + 1]?.address;
    if (next === undefined) return { id, step: isFirst ? step : { ...step, ids: NO_INTEGERS } };
    const placement = {
      ...step,
      samples: 0,
      indices: NO_INTEGERS,
      controls: NO_FLOATS,
      integers: NO_INTEGERS,
      history: NO_INTEGERS,
    };
    return { id, next, step: isFirst ? placement : { ...placement, ids: NO_INTEGERS } };
  }
}

/** Different devices among the actors of these addresses: how many of them can compute at a time. */
export function countDevices(addresses: readonly string[]): number {
  return new Set(addresses.map((address) => address.split("/").slice(0, 2).join("/"))).size;
}
