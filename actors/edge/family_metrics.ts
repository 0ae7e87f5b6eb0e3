import type { Gauge, Metrics } from "../../runtime/mod.ts";
import type { LevelSummary, ReplicaSummary } from "../protocol.ts";
import type { FamilyReport } from "./watch.ts";

const replicaLabels = ["family", "level", "replica"];

/** Shows what the routers say of families and replicas. */
export class FamilyMetrics {
  readonly #ready: Gauge;
  readonly #requests: Gauge;
  readonly #replicas: readonly (readonly [Gauge, (replica: ReplicaSummary) => number])[];

  constructor(metrics: Metrics) {
    this.#ready = metrics.gauge("tandem_family_ready", "Whether every level has a live replica", [
      "family",
    ]);
    this.#requests = metrics.gauge("tandem_family_requests", "Requests at the family's routers", [
      "family",
    ]);
    const replica = (name: string, help: string, of: (replica: ReplicaSummary) => number) =>
      [metrics.gauge(`tandem_replica_${name}`, help, replicaLabels), of] as const;
    this.#replicas = [
      replica("up", "Whether it answers", ({ alive }) => Number(alive)),
      replica("running", "Sequences in its batch", ({ running }) => running),
      replica("waiting", "Requests in its queue", ({ waiting }) => waiting),
      replica("pages_used", "Pages of its KV cache in use", ({ pages }) => pages[0]),
      replica("pages_total", "Pages of its KV cache", ({ pages }) => pages[1]),
    ];
  }

  /** Shows these reports and nothing of earlier ones. */
  show(reports: readonly FamilyReport[]): void {
    for (const gauge of [this.#ready, this.#requests, ...this.#replicas.map(([gauge]) => gauge)]) {
      gauge.clear();
    }
    for (const report of reports) {
      const { family } = report;
      this.#ready.set(Number(report.ready), { family });
      if ("error" in report) continue;
      this.#requests.set(report.requests.running, { family });
      for (const level of report.levels) this.#showLevel(family, level);
    }
  }

  #showLevel(family: string, { name: level, replicas }: LevelSummary): void {
    for (const replica of replicas) {
      const labels = { family, level, replica: replica.address };
      for (const [gauge, of] of this.#replicas) gauge.set(of(replica), labels);
    }
  }
}
